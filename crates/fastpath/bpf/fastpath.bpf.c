// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Translates packets of established sessions; everything else goes to the kernel as it came.
 *
 * Conntrack is the truth. What a program remembers of a session's direction is a lease of at most a second, taken from
 * the kernel's entry and routing tables, whose timeout it then refreshes. The table of leases is divided by CPUs, so
 * that nothing is locked and no two ever write one lease; a session's end reaches the leases of all CPUs by `closings`,
 * a change of rules by `config.generation`.
 */
#include "kernel.h"
#include "fastpath.h"

#include <linux/if_ether.h>
#include <linux/in.h>
#include <linux/ip.h>
#include <linux/tcp.h>
#include <linux/udp.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, struct config);
} config SEC(".maps");

/* The loader sets its size: CPUs times sets. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct lease_set);
} leases SEC(".maps");

/* When a session ended, in jiffies, by the hash of its conntrack entry. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CLOSINGS);
	__type(key, __u32);
	__type(value, __u32);
} closings SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, NEIGHBOURS);
	__type(key, __u32);
	__type(value, struct neighbour);
} neighbours SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, PORTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, __u32);
	__type(value, struct port);
} ports SEC(".maps");

/* Whose traffic is counted, and its place in `traffic`. */
struct {
	__uint(type, BPF_MAP_TYPE_HASH);
	__uint(max_entries, ACCOUNTS_MAX);
	__uint(map_flags, BPF_F_NO_PREALLOC);
	__type(key, struct account);
	__type(value, __u32);
} accounts SEC(".maps");

/* Two for each account: in, out. The loader sets its size. */
struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 2);
	__type(key, __u32);
	__type(value, struct traffic);
} traffic SEC(".maps");

struct {
	__uint(type, BPF_MAP_TYPE_PERCPU_ARRAY);
	__uint(max_entries, 1);
	__type(key, __u32);
	__type(value, __u64[COUNTERS]);
} counters SEC(".maps");

/* A packet that may be the fast path's, as it came in. */
struct packet {
	__u64 addresses; /* both, as they lie in the header */
	__u32 ports;
	__u32 side;
	__u32 to_high;   /* the Ethernet address that it was sent to */
	__u16 to_low;
	__u16 mtu;       /* the route must carry that much */
	__u8 protocol;
	__u8 ends;       /* its flags end a connection, or begin another one in its place */
};

static __always_inline void count(enum counter which)
{
	__u32 zero = 0;
	__u64 *all = bpf_map_lookup_elem(&counters, &zero);

	if (all && which < COUNTERS)
		all[which]++;
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

static __always_inline __u64 load64(const void *at)
{
	return *(const __u64 *)at;
}

static __always_inline __u32 load32(const void *at)
{
	return *(const __u32 *)at;
}

static __always_inline __u32 set_index(const struct config *cfg, const struct packet *p)
{
	__u64 h = (p->addresses ^ cfg->seed) * 0x9e3779b97f4a7c15ull;

	h ^= h >> 32;
	h = (h + (((__u64)p->ports << 32) | p->side)) * 0xc2b2ae3d27d4eb4full;
	return bpf_get_smp_processor_id() * (cfg->set_mask + 1) + ((h >> 32) & cfg->set_mask);
}

static __always_inline int is_of(const struct lease *l, const struct packet *p)
{
	return load64(&l->saddr) == p->addresses && load64(&l->ports) == (((__u64)p->side << 32) | p->ports);
}

/* Whether the lease may be used for the packet now. */
static __always_inline int is_good(const struct lease *l, const struct packet *p, const struct config *cfg, __u32 now)
{
	__u32 at = l->session % CLOSINGS;
	__u32 *closed;

	/* `until` is never further away than a lease: an older number means that jiffies went round. */
	if (l->until - now - 1 >= cfg->lease || l->generation != (__u16)cfg->generation)
		return 0;
	if (load32(l->to) != p->to_high || *(const __u16 *)(l->to + 4) != p->to_low)
		return 0;
	closed = bpf_map_lookup_elem(&closings, &at);
	/* Ended since the lease was taken? */
	return closed && *closed - (l->until - cfg->lease) > cfg->lease + 1;
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

static __always_inline void *find_session(void *ctx, int is_xdp, const struct packet *p, struct bpf_ct_opts *opts)
{
	struct bpf_sock_tuple tuple = {};

	tuple.ipv4.saddr = (__u32)p->addresses;
	tuple.ipv4.daddr = (__u32)(p->addresses >> 32);
	tuple.ipv4.sport = (__u16)p->ports;
	tuple.ipv4.dport = (__u16)(p->ports >> 16);
	if (is_xdp)
		return bpf_xdp_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), opts, sizeof(*opts));
	return bpf_skb_ct_lookup(ctx, &tuple, sizeof(tuple.ipv4), opts, sizeof(*opts));
}

/* Of the original direction: the same for both. */
static __always_inline __u16 session_hash(const struct nf_conn *ct)
{
	__u64 h = ((__u64)ct->tuplehash[0].tuple.src.u3.ip << 32) | ct->tuplehash[0].tuple.dst.u3.ip;

	h = h * 0x9e3779b97f4a7c15ull + (((__u32)ct->tuplehash[0].tuple.src.u.all << 16) | ct->tuplehash[0].tuple.dst.u.all);
	return (h * 0xc2b2ae3d27d4eb4full) >> 48;
}

static __always_inline __u8 extension(struct nf_ct_ext *ext, __u64 id)
{
	__u8 offset = 1;

	bpf_probe_read_kernel(&offset, sizeof(offset), (void *)ext + bpf_core_field_offset(struct nf_ct_ext, offset) + id);
	return offset;
}

#define HAS(ext, id)                                                                                                   \
	(bpf_core_enum_value_exists(enum nf_ct_ext_id, id) && extension(ext, bpf_core_enum_value(enum nf_ct_ext_id, id)))

/* (What adjusts sequence numbers, a SYN proxy too, says so in the status.) */
static __always_inline int is_helped(struct nf_ct_ext *ext)
{
	return ext && (HAS(ext, NF_CT_EXT_HELPER) || HAS(ext, NF_CT_EXT_TIMEOUT));
}

/* Reads the session: what it makes of the packet. Returns HIT or the kernel's reason. */
static __always_inline enum counter judge(struct nf_conn *ct, __u8 dir, const struct config *cfg,
					  const struct packet *p, struct lease *l)
{
	const __u64 must = IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED;
	const __u64 not = IPS_DYING | IPS_SEQ_ADJUST | IPS_FIXED_TIMEOUT | IPS_UNTRACKED | IPS_OFFLOAD | IPS_HW_OFFLOAD;
	__u64 status = ct->status;
	__be16 sport, dport;
	__u32 timeout;

	l->session = session_hash(ct);
	if ((status & must) != must)
		return NOT_SETTLED;
	if (p->protocol == IPPROTO_TCP && ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED)
		return NOT_SETTLED;
	if ((status & not) || is_helped(ct->ext))
		return HELPED;
	if (dir == 0) {
		l->new_saddr = ct->tuplehash[1].tuple.dst.u3.ip;
		l->new_daddr = ct->tuplehash[1].tuple.src.u3.ip;
		sport = ct->tuplehash[1].tuple.dst.u.all;
		dport = ct->tuplehash[1].tuple.src.u.all;
	} else {
		l->new_saddr = ct->tuplehash[0].tuple.dst.u3.ip;
		l->new_daddr = ct->tuplehash[0].tuple.src.u3.ip;
		sport = ct->tuplehash[0].tuple.dst.u.all;
		dport = ct->tuplehash[0].tuple.src.u.all;
	}
	l->new_ports = ((__u32)dport << 16) | sport;
	timeout = p->protocol == IPPROTO_TCP ? cfg->tcp_timeout : cfg->udp_timeout;
	if (timeout)
		bpf_ct_change_timeout(ct, timeout);
	return HIT;
}

/*
 * The place in `traffic` of a packet that crosses the public side: of its public address. 0 is that of packets that do not
 * cross it. Returns HIT, or the kernel's reason: what must be counted and has no place.
 */
static __always_inline enum counter account(const struct packet *p, struct lease *l, const struct port *from,
					    const struct port *to)
{
	struct account key = {};
	__u32 *place, out;

	if (to->flags & PORT_PUBLIC) {
		key.address = l->new_saddr;
		key.interface = p->side >> 8;
		out = 1;
	} else if (from->flags & PORT_PUBLIC) {
		key.address = (__u32)(p->addresses >> 32);
		key.interface = l->out >> 8;
		out = 0;
	} else {
		return HIT;
	}
	place = bpf_map_lookup_elem(&accounts, &key);
	if (!place)
		return NO_ACCOUNT;
	l->account = *place * 2 + out;
	return HIT;
}

/* Where the packet goes next, and whether it came from where its source lies (RFC 3704, strict). */
static __always_inline enum counter route(void *ctx, const struct packet *p, const struct port *from, struct lease *l,
					  __u32 now, __u32 lease)
{
	struct bpf_fib_lookup fib = {};
	__u32 in = p->side >> 8, out, slot;
	struct port *port;
	struct neighbour *n;
	int found;

	fib.family = 2; /* AF_INET */
	fib.l4_protocol = p->protocol;
	fib.ifindex = in;
	fib.ipv4_src = l->new_daddr;
	fib.ipv4_dst = (__u32)p->addresses;
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), FIB_LOOKUP_SKIP_NEIGH);
	if (found || fib.ifindex != in)
		return WRONG_SIDE;

	__builtin_memset(&fib, 0, sizeof(fib));
	fib.family = 2;
	fib.l4_protocol = p->protocol;
	fib.sport = (__u16)p->ports;
	fib.dport = (__u16)(l->new_ports >> 16);
	fib.tot_len = sizeof(struct iphdr); /* asks for the route's MTU */
	fib.ifindex = in;
	fib.ipv4_src = (__u32)p->addresses;
	fib.ipv4_dst = l->new_daddr;
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH)
		return NO_NEIGHBOUR;
	if (found)
		return NO_ROUTE;
	out = fib.ifindex;
	port = bpf_map_lookup_elem(&ports, &out);
	if (!port)
		return NO_PORT;
	l->out = (out << 8) | (port->flags & PORT_PEER ? LEASE_PEER : 0);
	if (account(p, l, from, port) != HIT)
		return NO_ACCOUNT;
	l->mtu = fib.tot_len;
	__builtin_memcpy(l->dmac, fib.dmac, 6);
	__builtin_memcpy(l->smac, fib.smac, 6);

	slot = ((fib.ipv4_dst * 0x9e3779b1u) ^ out) % NEIGHBOURS;
	n = bpf_map_lookup_elem(&neighbours, &slot);
	if (!n)
		return NO_NEIGHBOUR;
	if (n->address != fib.ipv4_dst || n->interface != out || now - n->used >= lease) {
		n->address = fib.ipv4_dst;
		n->interface = out;
		n->used = now;
		return NEIGHBOUR_USE;
	}
	return HIT;
}

/* Takes a lease into `l`, which lies in the table. Returns HIT or the kernel's reason. */
static __always_inline enum counter take(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p,
					 struct lease *into, __u32 now)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = p->protocol };
	struct lease l = {};
	enum counter verdict;
	__u32 in = p->side >> 8;
	struct port *port;
	struct nf_conn *ct;

	if (cfg->alive_until < bpf_ktime_get_coarse_ns())
		return SUSPENDED;
	port = bpf_map_lookup_elem(&ports, &in);
	if (!port || load32(port->mac) != p->to_high || *(__u16 *)(port->mac + 4) != p->to_low)
		return NOT_OURS;
	ct = find_session(ctx, is_xdp, p, &opts);
	if (!ct)
		return NO_SESSION;
	verdict = judge(ct, opts.dir, cfg, p, &l);
	bpf_ct_release(ct);
	if (verdict == HIT)
		verdict = route(ctx, p, port, &l, now, cfg->lease);
	if (verdict == HELPED || verdict == NO_ROUTE || verdict == NO_PORT || verdict == NO_ACCOUNT)
		l.out = LEASE_KERNEL;
	else if (verdict != HIT)
		return verdict;

	*(__u64 *)&l.saddr = p->addresses;
	l.ports = p->ports;
	l.side = p->side;
	*(__u32 *)l.to = p->to_high;
	*(__u16 *)(l.to + 4) = p->to_low;
	l.generation = cfg->generation;
	l.until = now + cfg->lease;
	if (p->addresses != load64(&l.new_saddr) || p->ports != l.new_ports) {
		l.l4_delta = fold(delta32((__u32)p->addresses, l.new_saddr) +
				  delta32((__u32)(p->addresses >> 32), l.new_daddr) + delta32(p->ports, l.new_ports));
		l.out |= LEASE_TRANSLATED;
	}
	*into = l;
	count(LEASED);
	return verdict;
}

/* The end of a session, or what may be: the leases of both directions are void from now on. */
static __always_inline void close(void *ctx, int is_xdp, const struct packet *p)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = p->protocol };
	struct nf_conn *ct = find_session(ctx, is_xdp, p, &opts);
	__u32 *closed, at;

	if (!ct)
		return;
	at = session_hash(ct) % CLOSINGS;
	bpf_ct_release(ct);
	closed = bpf_map_lookup_elem(&closings, &at);
	if (closed)
		*closed = (__u32)bpf_jiffies64() + 1; /* the kernel has yet to see the packet */
}

/* The lease for a packet that `parse` has read. On HIT `*found` is it. */
static __always_inline enum counter find(void *ctx, int is_xdp, const struct packet *p, struct lease **found)
{
	__u32 zero = 0, now = bpf_jiffies64(), at;
	struct config *cfg = bpf_map_lookup_elem(&config, &zero);
	struct lease_set *set;
	struct lease *l;
	enum counter verdict;

	if (!cfg)
		return SUSPENDED;
	if (!cfg->enabled)
		return SUSPENDED;
	at = set_index(cfg, p);
	set = bpf_map_lookup_elem(&leases, &at);
	if (!set)
		return SUSPENDED;
	l = &set->way[0];
	if (!is_of(l, p)) {
		l = &set->way[1];
		if (!is_of(l, p)) {
			/* A free or the older one of the two makes room. */
			if (set->way[0].until - now - 1 >= cfg->lease || set->way[1].until - set->way[0].until < cfg->lease)
				l = &set->way[0];
			goto renew;
		}
	}
	if (!is_good(l, p, cfg, now))
		goto renew;
	*found = l;
	return l->out & LEASE_KERNEL ? KERNEL_LEASE : HIT;
renew:
	verdict = take(ctx, is_xdp, cfg, p, l, now);
	*found = l;
	return verdict;
}

/* The new checksum of the IPv4 header: addresses change and TTL falls by one. */
static __always_inline __u16 header_checksum(const struct iphdr *ip, const struct lease *l)
{
	return ~fold((__u64)(__u16)~ip->check + delta32(ip->saddr, l->new_saddr) + delta32(ip->daddr, l->new_daddr) +
		     bpf_htons(0xfeff));
}

static __always_inline void write_headers(struct ethhdr *eth, struct iphdr *ip, void *transport, const struct lease *l)
{
	ip->check = header_checksum(ip, l);
	ip->ttl--;
	*(__u64 *)&ip->saddr = load64(&l->new_saddr);
	*(__u32 *)transport = l->new_ports;
	*(__u32 *)eth->h_dest = load32(l->dmac);
	*(__u32 *)(eth->h_dest + 4) = load32(l->dmac + 4);
	*(__u32 *)(eth->h_source + 2) = load32(l->smac + 2);
}

static __always_inline void account_for(const struct lease *l, __u32 bytes, __u32 packets)
{
	__u32 at = l->account;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &at);

	if (t) {
		t->packets += packets;
		t->bytes += bytes;
	}
	count(HIT);
}

/* RFC 768: 0 is "none", in and out. */
static __always_inline __u16 udp_checksum(__u16 check, __u16 delta)
{
	__u16 sum = ~fold((__u64)(__u16)~check + delta);

	return sum ? sum : 0xffff;
}

SEC("xdp")
int outgate_xdp(struct xdp_md *ctx)
{
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct packet p;
	struct lease *l = 0;
	enum counter verdict;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = data + ETH_HLEN + sizeof(*ip);
	struct udphdr *udp = (void *)tcp;
	__u32 length = data_end - data;

	verdict = parse(data, data_end, length, 0, ctx->ingress_ifindex, &p);
	if (p.ends)
		close(ctx, 1, &p);
	if (verdict == HIT)
		verdict = find(ctx, 1, &p, &l);
	if (verdict == HIT && l && p.mtu > l->mtu)
		verdict = OVER_MTU;
	if (verdict != HIT || !l || (void *)(udp + 1) > data_end) {
		count(verdict);
		return XDP_PASS;
	}
	if (l->out & LEASE_TRANSLATED) {
		if (p.protocol == IPPROTO_UDP) {
			if (udp->check)
				udp->check = udp_checksum(udp->check, l->l4_delta);
		} else if ((void *)(tcp + 1) <= data_end) {
			tcp->check = ~fold((__u64)(__u16)~tcp->check + l->l4_delta);
		}
	}
	write_headers(eth, ip, udp, l);
	account_for(l, p.mtu, 1);
	return bpf_redirect(l->out >> 8, 0);
}

SEC("tcx/ingress")
int outgate_tcx(struct __sk_buff *ctx)
{
	const __u32 headers = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct packet p;
	struct lease *l = 0;
	enum counter verdict = NOT_OURS;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = data + ETH_HLEN + sizeof(*ip);
	__u32 out, flags, old_ports, segments = ctx->gso_segs;
	__u64 addresses;

	if (data + headers > data_end && ctx->len > data_end - data) {
		/* Headers in fragments, as some drivers deliver them. */
		if (bpf_skb_pull_data(ctx, ctx->len < headers ? ctx->len : headers))
			return TCX_NEXT;
		data = (void *)(long)ctx->data;
		data_end = (void *)(long)ctx->data_end;
		eth = data;
		ip = data + ETH_HLEN;
		udp = data + ETH_HLEN + sizeof(*ip);
	}
	p.ends = 0;
	if (ctx->pkt_type == 0 && !ctx->vlan_present && !ctx->mark)
		verdict = parse(data, data_end, ctx->len, ctx->gso_size, ctx->ingress_ifindex, &p);
	if (p.ends)
		close(ctx, 0, &p);
	if (verdict == HIT)
		verdict = find(ctx, 0, &p, &l);
	if (verdict == HIT && l && p.mtu > l->mtu)
		verdict = OVER_MTU;
	if (verdict != HIT || !l || (void *)(udp + 1) > data_end) {
		count(verdict);
		return TCX_NEXT;
	}
	account_for(l, ctx->len - ETH_HLEN, segments ? segments : 1);
	/* The checksum may be left to hardware; then it covers the pseudo header only. The helper knows. */
	out = l->out;
	if (out & LEASE_TRANSLATED) {
		__u32 at = ETH_HLEN + sizeof(*ip);

		if (p.protocol == IPPROTO_UDP) {
			at += __builtin_offsetof(struct udphdr, check);
			flags = BPF_F_MARK_MANGLED_0;
		} else {
			at += __builtin_offsetof(struct tcphdr, check);
			flags = 0;
		}
		addresses = delta32((__u32)p.addresses, l->new_saddr) + delta32((__u32)(p.addresses >> 32), l->new_daddr);
		old_ports = p.ports;
		write_headers(eth, ip, udp, l);
		addresses = (addresses & 0xffffffff) + (addresses >> 32);
		addresses = (addresses & 0xffffffff) + (addresses >> 32);
		bpf_l4_csum_replace(ctx, at, 0, addresses, flags | BPF_F_PSEUDO_HDR);
		if (old_ports != l->new_ports) {
			__u64 ports_delta = delta32(old_ports, l->new_ports);

			ports_delta = (ports_delta & 0xffffffff) + (ports_delta >> 32);
			bpf_l4_csum_replace(ctx, at, 0, ports_delta, flags);
		}
	} else {
		write_headers(eth, ip, udp, l);
	}
	if (out & LEASE_PEER)
		return bpf_redirect_peer(out >> 8, 0);
	return bpf_redirect(out >> 8, 0);
}
