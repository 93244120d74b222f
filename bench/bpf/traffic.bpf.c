// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* What the benchmark measures with: a generator of UDP packets that costs next to nothing, a sink, a reflector, and a
 * bare redirect as the ceiling of what any router on this machine can reach. */

#include <linux/bpf.h>
#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/udp.h>

#include <bpf/bpf_endian.h>
#include <bpf/bpf_helpers.h>

/* Fields that are filled in user space; src/traffic.rs has the same layout. */
struct config {
	/* Where the generator, or the redirect, sends to. */
	__u32 out;
	/* So many sessions: `hosts` times `ports` towards one destination, then towards the next. */
	__u32 hosts;
	__u32 ports;
	__u32 sessions;
	/* The first host, the first destination: host byte order. */
	__u32 first_host;
	__u32 first_destination;
	__u16 first_port;
	/* What the sink does with packets of UDP: 0 drop, 1 send back. */
	__u16 answer;
	/* The packet before a session's fields: sums for its checksums, 16 bits each, folded, in network byte order. */
	__u32 ip_sum;
	__u32 udp_sum;
	/* Ethernet addresses: to whom, from whom. */
	__u8 macs[12];
	/* Ethernet, IPv4 and UDP headers with zeros for a session's fields. */
	__u8 head[44];
	/* Nanoseconds from one packet to the next; 0: as fast as it goes. */
	__u32 gap;
};

struct place {
	/* In the row of sessions: so many packets were made. */
	__u64 next;
	/* When the next one is due: CLOCK_MONOTONIC in nanoseconds. */
	__u64 due;
};

struct count {
	__u64 packets;
	__u64 bytes;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct place);
} place SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct count);
} counted SEC(".maps");

static const __u32 zero;

static __always_inline __u16 folded(__u32 sum)
{
	sum = (sum & 0xffff) + (sum >> 16);
	sum = (sum & 0xffff) + (sum >> 16);
	return ~sum;
}

/* Whether a packet is due. What was missed is made up for, as from a queue, if it is less than a millisecond's. */
static __always_inline int is_due(struct place *at, __u32 gap)
{
	__u64 now = bpf_ktime_get_ns();

	if (now < at->due)
		return 0;
	if (now - at->due > 1000000)
		at->due = now;
	at->due += gap;
	return 1;
}

/* Writes the headers of the next session's packet: all of them, since what came back from the router is in the page. */
SEC("xdp")
int generate(struct xdp_md *ctx)
{
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct place *place_at = bpf_map_lookup_elem(&place, &zero);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if (!c || !place_at || (void *)(udp + 1) > end || !c->sessions || !c->hosts || !c->ports)
		return XDP_DROP;
	if (c->gap && !is_due(place_at, c->gap))
		return XDP_DROP;
	__u32 at = place_at->next++ % c->sessions;
	__u32 host = at % c->hosts, rest = at / c->hosts;
	__u32 source = bpf_htonl(c->first_host + host);
	__u32 destination = bpf_htonl(c->first_destination + rest / c->ports);
	__u16 port = bpf_htons(c->first_port + rest % c->ports);
	__u32 addresses = (source & 0xffff) + (source >> 16) + (destination & 0xffff) + (destination >> 16);

	__builtin_memcpy(data, c->head, 42);
	ip->saddr = source;
	ip->daddr = destination;
	ip->check = folded(c->ip_sum + addresses);
	udp->source = port;
	udp->check = folded(c->udp_sum + addresses + port);
	return bpf_redirect(c->out, 0);
}

static __always_inline int answered(struct config *c, __u32 interface, struct ethhdr *eth, struct iphdr *ip, struct udphdr *udp)
{
	__u8 mac[ETH_ALEN];

	if (c->answer == 0)
		return XDP_DROP;
	__builtin_memcpy(mac, eth->h_dest, ETH_ALEN);
	__builtin_memcpy(eth->h_dest, eth->h_source, ETH_ALEN);
	__builtin_memcpy(eth->h_source, mac, ETH_ALEN);
	__u32 address = ip->saddr;
	ip->saddr = ip->daddr;
	ip->daddr = address;
	__u16 port = udp->source;
	udp->source = udp->dest;
	udp->dest = port;
	/* Not XDP_TX: a veth wakes its other end for that only where that has a program too. */
	return bpf_redirect(interface, 0);
}

/* Counts UDP and answers it as it was told; all else is the kernel's. */
SEC("xdp")
int sink(struct xdp_md *ctx)
{
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	struct count *count = bpf_map_lookup_elem(&counted, &zero);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);
	struct udphdr *udp = (void *)(ip + 1);

	if (!c || !count || (void *)(udp + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	count->packets += 1;
	count->bytes += end - data;
	return answered(c, ctx->ingress_ifindex, eth, ip, udp);
}

/* No router at all: every UDP packet goes out on the other side. */
SEC("xdp")
int redirect(struct xdp_md *ctx)
{
	struct config *c = bpf_map_lookup_elem(&config, &zero);
	void *data = (void *)(long)ctx->data, *end = (void *)(long)ctx->data_end;
	struct ethhdr *eth = data;
	struct iphdr *ip = (void *)(eth + 1);

	if (!c || (void *)(ip + 1) > end || eth->h_proto != bpf_htons(ETH_P_IP) || ip->protocol != IPPROTO_UDP)
		return XDP_PASS;
	__builtin_memcpy(eth, c->macs, 12);
	return bpf_redirect(c->out, 0);
}

char LICENSE[] SEC("license") = "Dual BSD/GPL";
