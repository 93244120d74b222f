// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Translates packets of established sessions; everything else goes to the kernel as it came.
 *
 * Conntrack is the truth. What a program remembers of a session's direction is a lease of at most a second, taken from
 * the kernel's entry and routing tables, whose timeout it then refreshes. The table of leases is divided by CPUs, so
 * that nothing is locked and no two ever write one lease; a session's end reaches the leases of all CPUs by `closings`,
 * a change of rules by `config.generation`.
 */
#include "session.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Which set a packet's lease is in, and in `home` which way of it is its own. */
static __always_inline __u32 set_index(const struct config *cfg, const struct packet *p, __u32 *home)
{
	__u64 h = (p->addresses ^ cfg->seed) * 0x9e3779b97f4a7c15ull;

	h ^= h >> 32;
	h = (h + (((__u64)p->ports << 32) | p->side)) * 0xc2b2ae3d27d4eb4full;
	*home = (h >> 30) % WAYS;
	return bpf_get_smp_processor_id() * (cfg->set_mask + 1) + ((h >> 32) & cfg->set_mask);
}

static __always_inline int is_of(const struct lease *l, const struct packet *p)
{
	return load64(&l->saddr) == p->addresses && load64(&l->ports) == (((__u64)p->side << 32) | p->ports);
}

/* `until` is never further away than a lease: an older number means that jiffies went round. */
static __always_inline int is_fresh(__u32 until, __u32 now, const struct config *cfg)
{
	return until - now - 1 < cfg->lease;
}

/* Whether everything but conntrack would say the same again: the routes, and who asks. */
static __always_inline int is_current(const struct lease *l, const struct packet *p)
{
	return l->generation == p->generation && load32(l->to) == p->to_high && *(const __u16 *)(l->to + 4) == p->to_low;
}

/* Whether the session has not ended since the lease was taken. */
static __always_inline int is_open(const struct lease *l, const struct config *cfg)
{
	__u32 at = l->session % CLOSINGS;
	__u32 *closed = bpf_map_lookup_elem(&closings, &at);

	return closed && *closed - (l->until - cfg->lease) > cfg->lease + 1;
}

/* The lease's next hop, while what the kernel said of it holds. */
static __always_inline struct hop *hop_of(const struct lease *l, const struct config *cfg, __u32 now)
{
	__u32 at = bpf_get_smp_processor_id() * HOPS + l->hop % HOPS;
	struct hop *hop = bpf_map_lookup_elem(&hops, &at);

	if (!hop || hop->address != l->next_hop || hop->interface != l->out >> 8 || !is_fresh(hop->until, now, cfg))
		return 0;
	return hop;
}

/* Changes with the configuration and with the kernel's routes: both numbers only rise. */
static __always_inline __u32 generation(void *ctx, int is_xdp, const struct config *cfg)
{
	struct net_device *dev;

	if (is_xdp)
		dev = ((struct xdp_buff *)bpf_cast_to_kern_ctx(ctx))->rxq->dev;
	else
		dev = ((struct sk_buff *)bpf_cast_to_kern_ctx(ctx))->dev;
	return cfg->generation + dev->nd_net.net->ipv4.rt_genid.counter;
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

/*
 * Keeps the next hop that the kernel named, in the place of the same one, of one whose time is over, or of the first.
 * Says NEIGHBOUR_USE when its time begins anew.
 */
static __always_inline enum counter remember_hop(const struct bpf_fib_lookup *fib, struct lease *l,
						 const struct config *cfg, __u32 now)
{
	__u32 first = (((fib->ipv4_dst ^ fib->ifindex) * 0x9e3779b1u) >> 16) % HOPS & ~(WAYS - 1);
	__u32 of_cpu = bpf_get_smp_processor_id() * HOPS, place = first, at;
	struct hop *hop;
	int i, is_known = 0, is_fresh_hop;

	for (i = WAYS - 1; i >= 0; i--) {
		at = of_cpu + first + i;
		hop = bpf_map_lookup_elem(&hops, &at);
		if (!hop)
			return NO_NEIGHBOUR;
		if (hop->address == fib->ipv4_dst && hop->interface == fib->ifindex) {
			place = first + i;
			is_known = 1;
			break;
		}
		if (!is_fresh(hop->until, now, cfg))
			place = first + i;
	}
	at = of_cpu + place;
	hop = bpf_map_lookup_elem(&hops, &at);
	if (!hop)
		return NO_NEIGHBOUR;
	l->next_hop = fib->ipv4_dst;
	l->hop = place;
	is_fresh_hop = is_known && is_fresh(hop->until, now, cfg);
	hop->address = fib->ipv4_dst;
	hop->interface = fib->ifindex;
	__builtin_memcpy(hop->dmac, fib->dmac, 6);
	__builtin_memcpy(hop->smac, fib->smac, 6);
	if (is_fresh_hop)
		return HIT;
	hop->until = now + cfg->lease;
	return NEIGHBOUR_USE;
}

/* Where the packet goes next, and whether it came from where its source lies (RFC 3704, strict). */
static __always_inline enum counter route(void *ctx, const struct packet *p, const struct port *from, struct lease *l,
					  const struct config *cfg, __u32 now)
{
	struct bpf_fib_lookup fib = {};
	__u32 in = p->side >> 8, out;
	struct port *port;
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
	return remember_hop(&fib, l, cfg, now);
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

	port = bpf_map_lookup_elem(&ports, &in);
	if (!port || load32(port->mac) != p->to_high || *(__u16 *)(port->mac + 4) != p->to_low)
		return NOT_OURS;
	ct = find_session(ctx, is_xdp, p, &opts);
	if (!ct)
		return NO_SESSION;
	verdict = judge(ct, opts.dir, cfg, p, &l);
	bpf_ct_release(ct);
	if (verdict == HIT)
		verdict = route(ctx, p, port, &l, cfg, now);
	if (verdict == HELPED || verdict == NO_ROUTE || verdict == NO_PORT || verdict == NO_ACCOUNT)
		l.out = LEASE_KERNEL;
	else if (verdict != HIT)
		return verdict;

	*(__u64 *)&l.saddr = p->addresses;
	l.ports = p->ports;
	l.side = p->side;
	*(__u32 *)l.to = p->to_high;
	*(__u16 *)(l.to + 4) = p->to_low;
	l.generation = p->generation;
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

/* Only asks conntrack again: what the routes say has not changed. Returns HIT, or the kernel's reason. */
static __always_inline enum counter renew(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p,
					  struct lease *l, __u32 now)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = p->protocol };
	struct nf_conn *ct = find_session(ctx, is_xdp, p, &opts);
	struct lease fresh = {};
	enum counter verdict;

	if (!ct)
		return NO_SESSION;
	verdict = judge(ct, opts.dir, cfg, p, &fresh);
	bpf_ct_release(ct);
	if (verdict != HIT)
		return verdict;
	/* Another session with the same addresses: the next packet takes a lease of it. */
	if (load64(&fresh.new_saddr) != load64(&l->new_saddr) || fresh.new_ports != l->new_ports ||
	    fresh.session != l->session) {
		l->generation--;
		return NOT_SETTLED;
	}
	l->until = now + cfg->lease;
	count(RENEWED);
	return HIT;
}

/* The place of a packet's lease in its set: its own, or one that it may have. */
static __always_inline struct lease *place(struct lease_set *set, __u32 home, const struct config *cfg,
					   const struct packet *p, __u32 now)
{
	struct lease *free = 0;
	int i;

#pragma unroll
	for (i = 0; i < WAYS; i++) {
		struct lease *l = &set->way[(home + i) % WAYS];

		if (is_of(l, p))
			return l;
		if (!free && !is_fresh(l->until, now, cfg))
			free = l;
	}
	return free ? free : &set->way[home % WAYS];
}

/* The lease for a packet that `parse` has read, and its next hop. On HIT both are there. */
static __always_inline enum counter find(void *ctx, int is_xdp, struct packet *p, struct lease **found, struct hop **hop)
{
	__u32 zero = 0, now = bpf_jiffies64(), at, home;
	struct config *cfg = bpf_map_lookup_elem(&config, &zero);
	struct lease_set *set;
	struct lease *l;
	enum counter verdict = HIT;

	if (!cfg || !cfg->enabled)
		return SUSPENDED;
	at = set_index(cfg, p, &home);
	set = bpf_map_lookup_elem(&leases, &at);
	if (!set)
		return SUSPENDED;
	p->generation = generation(ctx, is_xdp, cfg);
	l = place(set, home, cfg, p, now);
	*found = l;
	if (is_of(l, p) && is_current(l, p)) {
		int is_held = is_fresh(l->until, now, cfg) && is_open(l, cfg);

		if (l->out & LEASE_KERNEL && is_held)
			return KERNEL_LEASE;
		if (!(l->out & LEASE_KERNEL))
			*hop = hop_of(l, cfg, now);
		if (*hop && is_held)
			return HIT;
		if (cfg->alive_until < bpf_ktime_get_coarse_ns())
			return SUSPENDED;
		if (*hop)
			return renew(ctx, is_xdp, cfg, p, l, now);
	} else if (cfg->alive_until < bpf_ktime_get_coarse_ns()) {
		return SUSPENDED;
	}
	verdict = take(ctx, is_xdp, cfg, p, l, now);
	if (verdict == HIT)
		*hop = hop_of(l, cfg, now);
	return verdict;
}

/* The new checksum of the IPv4 header: addresses change and TTL falls by one. */
static __always_inline __u16 header_checksum(const struct iphdr *ip, const struct lease *l)
{
	return ~fold((__u64)(__u16)~ip->check + delta32(ip->saddr, l->new_saddr) + delta32(ip->daddr, l->new_daddr) +
		     bpf_htons(0xfeff));
}

static __always_inline void write_headers(struct ethhdr *eth, struct iphdr *ip, void *transport, const struct lease *l,
					  const struct hop *hop)
{
	ip->check = header_checksum(ip, l);
	ip->ttl--;
	*(__u64 *)&ip->saddr = load64(&l->new_saddr);
	*(__u32 *)transport = l->new_ports;
	*(__u32 *)eth->h_dest = load32(hop->dmac);
	*(__u32 *)(eth->h_dest + 4) = load32(hop->dmac + 4);
	*(__u32 *)(eth->h_source + 2) = load32(hop->smac + 2);
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
	struct hop *hop = 0;
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
		verdict = find(ctx, 1, &p, &l, &hop);
	if (verdict == HIT && l && p.mtu > l->mtu)
		verdict = OVER_MTU;
	if (verdict != HIT || !l || !hop || (void *)(udp + 1) > data_end) {
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
	write_headers(eth, ip, udp, l, hop);
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
	struct hop *hop = 0;
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
		verdict = find(ctx, 0, &p, &l, &hop);
	if (verdict == HIT && l && p.mtu > l->mtu)
		verdict = OVER_MTU;
	if (verdict != HIT || !l || !hop || (void *)(udp + 1) > data_end) {
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
		write_headers(eth, ip, udp, l, hop);
		addresses = (addresses & 0xffffffff) + (addresses >> 32);
		addresses = (addresses & 0xffffffff) + (addresses >> 32);
		bpf_l4_csum_replace(ctx, at, 0, addresses, flags | BPF_F_PSEUDO_HDR);
		if (old_ports != l->new_ports) {
			__u64 ports_delta = delta32(old_ports, l->new_ports);

			ports_delta = (ports_delta & 0xffffffff) + (ports_delta >> 32);
			bpf_l4_csum_replace(ctx, at, 0, ports_delta, flags);
		}
	} else {
		write_headers(eth, ip, udp, l, hop);
	}
	if (out & LEASE_PEER)
		return bpf_redirect_peer(out >> 8, 0);
	return bpf_redirect(out >> 8, 0);
}
