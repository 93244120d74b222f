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
	__u8 ends;       /* its flags end a connection, or begin another one in its place */
};

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

static __always_inline __u64 load64(const void *at)
{
	return *(const __u64 *)at;
}

static __always_inline __u32 load32(const void *at)
{
	return *(const __u32 *)at;
}

/*
 * Whether the kernel may see a connection's end in the packet, or another's beginning: whatever else is the matter with
 * it, conntrack reads its flags before anybody drops it.
 */
static __always_inline void note_end(void *data, void *data_end, const struct iphdr *ip, __u32 ifindex, struct packet *p)
{
	struct tcphdr *tcp = data + ETH_HLEN + ip->ihl * 4;

	if (ip->protocol != IPPROTO_TCP || ip->ihl < 5 || ip->frag_off & bpf_htons(0x1fff) || (void *)(tcp + 1) > data_end)
		return;
	p->ends = tcp->fin | tcp->rst | tcp->syn;
	p->protocol = IPPROTO_TCP;
	p->addresses = load64(&ip->saddr);
	p->ports = load32(tcp);
	p->side = (ifindex << 8) | IPPROTO_TCP;
}

/*
 * Reads the headers. `data_end` bounds what may be read, `length` is the frame's; a GSO packet's segments are
 * `segment` bytes of payload each, 0 for others. Returns HIT or the reason why the kernel has to do it.
 */
static __always_inline enum counter parse(void *data, void *data_end, __u32 length, __u32 segment, __u32 ifindex,
					  struct packet *p)
{
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = data + ETH_HLEN + sizeof(*ip);
	struct udphdr *udp = (void *)tcp;
	__u32 total, header;
	__u64 sum;

	p->ends = 0;
	if ((void *)(udp + 1) > data_end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->version != 4)
		return NOT_OURS;
	note_end(data, data_end, ip, ifindex, p);
	if (ip->ihl != 5)
		return ip->ihl > 5 ? OPTIONS : MALFORMED;
	if (ip->frag_off & bpf_htons(0x3fff))
		return FRAGMENT;
	p->protocol = ip->protocol;
	if (p->protocol != IPPROTO_TCP && p->protocol != IPPROTO_UDP)
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
		/* ACK with or without PSH, whatever ECN says. */
		if (p->ends || !tcp->ack || tcp->urg)
			return TCP_FLAGS;
	} else {
		header = sizeof(*udp);
		if (bpf_ntohs(udp->len) < header || sizeof(*ip) + bpf_ntohs(udp->len) > total)
			return MALFORMED;
	}
	p->mtu = segment ? sizeof(*ip) + header + segment : total;
	if (segment && sizeof(*ip) + header + segment > 0xffff)
		return OVER_MTU;
	p->addresses = load64(&ip->saddr);
	p->ports = load32(udp);
	p->side = (ifindex << 8) | p->protocol;
	p->to_high = load32(eth->h_dest);
	p->to_low = *(__u16 *)(eth->h_dest + 4);
	return HIT;
}

#endif
