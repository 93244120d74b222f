/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* Reads a packet: whether it may be the fast path's, and what it is. */
#ifndef OUTGATE_PACKET_H
#define OUTGATE_PACKET_H

#include "maps.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

/* linux/icmp.h wants a C library. */
struct echo {
	__u8 type, code;
	__sum16 checksum;
	__be16 identifier, sequence;
};

#define ICMP_ECHOREPLY 0
#define ICMP_ECHO 8

/* A packet that may be the fast path's, as it came in. */
struct packet {
	__u64 addresses; /* both, as they lie in the header */
	__u32 ports;
	__u32 side;
	__u32 to_high;   /* the Ethernet address that it was sent to */
	__u16 to_low;
	__u16 mtu;       /* the route must carry that much */
	__u32 generation; /* what a lease for it must have */
	__u8 protocol;
};

/* Keeps what is rare out of the others' way. */
#define unlikely(what) __builtin_expect(what, 0)

static __always_inline __u32 fold32(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	return (sum & 0xffffffff) + (sum >> 32);
}

static __always_inline __u16 fold(__u64 sum)
{
	sum = (sum & 0xffffffff) + (sum >> 32);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return sum;
}

/* What turns a sum over `from` into one over `to` (RFC 1624, equation 3). */
static __always_inline __u64 delta32(__u32 from, __u32 to)
{
	return (__u64)(__u32)~from + to;
}

static __always_inline __u16 load16(const void *at)
{
	return *(const __u16 *)at;
}

static __always_inline __u64 load64(const void *at)
{
	return *(const __u64 *)at;
}

static __always_inline __u32 load32(const void *at)
{
	return *(const __u32 *)at;
}

/* Reads what a lease is found by, as if the packet were one that may have one. Whether it is IPv4. */
static __always_inline int read_tuple(void *data, void *data_end, __u32 ifindex, struct packet *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = (void *)(ip + 1);

	if ((void *)(udp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4)
		return 0;
	p->addresses = load64(&ip->saddr);
	/* As conntrack's tuples have it: the identifier in the place of the source's port, type and code in the other one. */
	if (unlikely(ip->protocol == IPPROTO_ICMP))
		p->ports = (__u32)load16(udp) << 16 | load16((void *)udp + 4);
	else
		p->ports = load32(udp);
	p->protocol = ip->protocol;
	p->side = (ifindex << 8) | ip->protocol;
	return 1;
}

/*
 * Whether the kernel may see a connection's end in the packet, or another's beginning: whatever else is the matter with
 * it, conntrack reads its flags before anybody drops it. Then its ports are read too, wherever they are.
 */
static __always_inline int may_end(void *data, void *data_end, struct packet *p)
{
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp;

	if ((void *)(ip + 1) > data_end || ip->protocol != IPPROTO_TCP || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff))
		return 0;
	tcp = data + ETH_HLEN + ip->ihl * 4;
	if ((void *)(tcp + 1) > data_end || !(tcp->fin | tcp->rst | tcp->syn))
		return 0;
	p->ports = load32(tcp);
	return 1;
}

/* An echo request or its reply. */
static __always_inline int is_echo(const struct packet *p)
{
	__u16 kind = p->ports >> 16;

	return p->protocol == IPPROTO_ICMP && (kind == bpf_htons(ICMP_ECHO << 8) || kind == bpf_htons(ICMP_ECHOREPLY << 8));
}

/*
 * Reads the headers of a packet whose tuple is read. `data_end` bounds what may be read, `length` is the frame's; a GSO packet's segments are
 * `segment` bytes of payload each, 0 for others. Returns HIT or the reason why the kernel has to do it.
 */
static __always_inline enum counter parse(void *data, void *data_end, __u32 length, __u32 segment, struct packet *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = data + ETH_HLEN + sizeof(*ip);
	struct udphdr *udp = (void *)tcp;
	__u32 total, header;
	__u64 sum;

	if ((void *)(udp + 1) > data_end)
		return NOT_OURS;
	if (ip->ihl != 5)
		return ip->ihl > 5 ? OPTIONS : MALFORMED;
	if (ip->frag_off & bpf_htons(0x3fff))
		return FRAGMENT;
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP && !is_echo(p))
		return NOT_OURS;
	if (ip->ttl < 2)
		return TTL_ENDS;
	total = bpf_ntohs(ip->tot_len);
	if (total + ETH_HLEN > length || (length > total + ETH_HLEN && length > ETH_ZLEN))
		return MALFORMED;
	sum = (__u64)load32(ip) + load32((void *)ip + 4) + load32((void *)ip + 8) + load32((void *)ip + 12) +
	      load32((void *)ip + 16);
	if (fold(sum) != 0xffff)
		return MALFORMED;
	if (p->protocol == IPPROTO_TCP) {
		if ((void *)(tcp + 1) > data_end)
			return MALFORMED;
		header = tcp->doff * 4;
		if (header < sizeof(*tcp) || sizeof(*ip) + header > total)
			return MALFORMED;
		/* ACK with or without PSH, whatever ECN says; `may_end` has seen to the others. */
		if (!tcp->ack || tcp->urg)
			return TCP_FLAGS;
	} else if (unlikely(p->protocol == IPPROTO_ICMP)) {
		header = sizeof(struct echo);
		if (sizeof(*ip) + header > total)
			return MALFORMED;
	} else {
		header = sizeof(*udp);
		if (bpf_ntohs(udp->len) < header || sizeof(*ip) + bpf_ntohs(udp->len) > total)
			return MALFORMED;
	}
	p->mtu = segment ? sizeof(*ip) + header + segment : total;
	if (segment && sizeof(*ip) + header + segment > 0xffff)
		return OVER_MTU;
	p->to_high = load32(eth->h_dest);
	p->to_low = *(__u16 *)(eth->h_dest + 4);
	return HIT;
}

#endif
