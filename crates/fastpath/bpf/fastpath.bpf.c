// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/*
 * Translates packets of established sessions; everything else goes to the kernel as it came.
 *
 * Conntrack is the truth. What a program remembers of a session's direction is a lease of at most a second, taken from
 * the kernel's entry and routing tables, whose timeout it then refreshes. The table of leases is divided by CPUs, so
 * that nothing is locked and no two ever write one lease; a session's end reaches the leases of all CPUs by `closings`,
 * a change of rules by `config.generation`.
 */
#include "echo.h"
#include "end.h"

char LICENSE[] SEC("license") = "Dual BSD/GPL";

/* Which set a packet's lease is in, and in `home` at which way the search begins. */
static __always_inline __u32 set_index(const struct config *cfg, const struct packet *p, __u32 *home)
{
	__u64 h = hash(cfg, p->addresses, ((__u64)p->side << 32) | p->ports);

	*home = (h >> 61) % WAYS & ~(WAYS_OF_LINE - 1);
	return bpf_get_smp_processor_id() * (cfg->set_mask + 1) + ((h >> 32) & cfg->set_mask);
}

static __always_inline int is_of(const struct lease *l, const struct packet *p)
{
	return load64(&l->saddr) == p->addresses && load64(&l->ports) == (((__u64)p->side << 32) | p->ports);
}

/* Whether the session has not ended since the lease was taken. */
static __always_inline int is_open(const struct lease *l, const struct config *cfg)
{
	__u32 at = l->session % CLOSINGS;
	__u32 *closed = bpf_map_lookup_elem(&closings, &at);

	return closed && *closed - (l->until - cfg->lease) > cfg->lease + 1;
}

/* The place of a path, of this CPU's. */
static __always_inline struct path *path_at(__u32 place)
{
	__u32 at = bpf_get_smp_processor_id() * PATHS + place % PATHS;

	return bpf_map_lookup_elem(&paths, &at);
}

/* The lease's path while everything but conntrack would say the same again: the routes, the next hop, and who asks. */
static __always_inline struct path *path_of(const struct lease *l, const struct packet *p, const struct config *cfg,
					    __u32 now)
{
	struct path *path = path_at(l->path);

	if (!path || path->serial != l->serial || path->generation != p->generation || load32(path->to) != p->to_high ||
	    *(const __u16 *)(path->to + 4) != p->to_low || !is_fresh(path->until, now, cfg))
		return 0;
	return path;
}

/* Both addresses after the translation. */
static __always_inline __u64 new_addresses(const struct path *path, const struct packet *p)
{
	return (p->addresses & path->keep) | path->addresses;
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
static __always_inline enum counter account(const struct packet *p, const struct translation *new, struct path *path,
					    const struct port *from, const struct port *to)
{
	struct account key = {};
	__u32 *place, out;

	if (to->flags & PORT_PUBLIC) {
		key.address = new->saddr;
		key.interface = p->side >> 8;
		out = 1;
	} else if (from->flags & PORT_PUBLIC) {
		key.address = (__u32)(p->addresses >> 32);
		key.interface = path->out >> 8;
		out = 0;
	} else {
		return HIT;
	}
	place = bpf_map_lookup_elem(&accounts, &key);
	if (!place)
		return NO_ACCOUNT;
	path->account = *place * 2 + out;
	return HIT;
}

/* Whether two are the same but for what the kernel says of the next hop. */
static __always_inline int is_same(const struct path *a, const struct path *b)
{
	return a->keep == b->keep && a->addresses == b->addresses && a->generation == b->generation && a->out == b->out &&
	       a->next_hop == b->next_hop && a->mtu == b->mtu && a->account == b->account &&
	       load32(a->to) == load32(b->to) && *(const __u16 *)(a->to + 4) == *(const __u16 *)(b->to + 4);
}

/*
 * The first place of a path's set, of this CPU's. Networks that share a public address, or a server, have paths that
 * differ in nothing but the interface that packets come in by: its Ethernet address and its account.
 */
static __always_inline __u32 first_place(const struct path *path, const struct config *cfg)
{
	__u64 h = hash(cfg, path->addresses, ((__u64)path->out << 32) | path->next_hop);

	h = hash(cfg, h, ((__u64)load32(path->to + 2) << 32) | path->account);
	return (h >> 40) % PATHS & ~(PATH_WAYS - 1);
}

/*
 * Keeps a path for a lease, in the place of the same one or of one that is void or whose time is over. Says NEIGHBOUR_USE
 * when its time begins anew, and NO_ROOM when others have all places.
 */
static __always_inline enum counter remember(const struct path *new, struct lease *l, const struct config *cfg,
					     __u32 now)
{
	__u32 first = first_place(new, cfg), place = PATH_KERNEL;
	int i, is_known = 0, is_in_time;
	struct path *path;

	for (i = PATH_WAYS - 1; i >= 0; i--) {
		path = path_at(first + i);
		if (!path)
			return NO_ROOM;
		if (is_same(path, new)) {
			place = first + i;
			is_known = 1;
			break;
		}
		if (path->generation != new->generation || !is_fresh(path->until, now, cfg))
			place = first + i;
	}
	path = place == PATH_KERNEL ? 0 : path_at(place);
	if (!path)
		return NO_ROOM;
	is_in_time = is_known && is_fresh(path->until, now, cfg);
	l->path = place;
	l->serial = is_known ? path->serial : path->serial + 1;
	if (!is_known) {
		*path = *new;
		path->serial = l->serial;
	} else {
		__builtin_memcpy(path->dmac, new->dmac, 6);
		__builtin_memcpy(path->smac, new->smac, 6);
	}
	if (is_in_time)
		return HIT;
	path->until = now + cfg->lease;
	return NEIGHBOUR_USE;
}

/* Where the packet goes next, and whether it came from where its source lies (RFC 3704, strict). */
static __always_inline enum counter route(void *ctx, const struct packet *p, const struct port *from,
					  const struct translation *new, struct lease *l, const struct config *cfg,
					  __u32 now)
{
	struct bpf_fib_lookup fib = {};
	struct path path = {};
	__u32 in = p->side >> 8, out;
	struct port *port;
	int found;

	fib.family = 2; /* AF_INET */
	fib.l4_protocol = p->protocol;
	fib.ifindex = in;
	fib.ipv4_src = new->daddr;
	fib.ipv4_dst = (__u32)p->addresses;
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), FIB_LOOKUP_SKIP_NEIGH);
	if (found || fib.ifindex != in)
		return WRONG_SIDE;

	__builtin_memset(&fib, 0, sizeof(fib));
	fib.family = 2;
	fib.l4_protocol = p->protocol;
	if (p->protocol != IPPROTO_ICMP) {
		fib.sport = (__u16)p->ports;
		fib.dport = (__u16)(new->ports >> 16);
	}
	fib.tot_len = sizeof(struct iphdr); /* asks for the route's MTU */
	fib.ifindex = in;
	fib.ipv4_src = (__u32)p->addresses;
	fib.ipv4_dst = new->daddr;
	found = bpf_fib_lookup(ctx, &fib, sizeof(fib), 0);
	if (found == BPF_FIB_LKUP_RET_NO_NEIGH)
		return NO_NEIGHBOUR;
	if (found)
		return NO_ROUTE;
	out = fib.ifindex;
	port = bpf_map_lookup_elem(&ports, &out);
	if (!port)
		return NO_PORT;
	path.out = (out << 8) | (port->flags & PORT_PEER ? PATH_PEER : 0);
	if (account(p, new, &path, from, port) != HIT)
		return NO_ACCOUNT;
	if (new->saddr == (__u32)p->addresses)
		path.keep |= 0xffffffffull;
	else
		path.addresses |= new->saddr;
	if (new->daddr == (__u32)(p->addresses >> 32))
		path.keep |= 0xffffffffull << 32;
	else
		path.addresses |= (__u64)new->daddr << 32;
	path.generation = p->generation;
	path.next_hop = fib.ipv4_dst;
	path.mtu = fib.tot_len;
	*(__u32 *)path.to = p->to_high;
	*(__u16 *)(path.to + 4) = p->to_low;
	__builtin_memcpy(path.dmac, fib.dmac, 6);
	__builtin_memcpy(path.smac, fib.smac, 6);
	return remember(&path, l, cfg, now);
}

/*
 * What conntrack makes of the packet, and until when a lease of that is good. Returns HIT or the kernel's reason. `now` is
 * from before.
 */
static __always_inline enum counter ask(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p, __u32 now,
					struct translation *new, __u32 *until)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = p->protocol };
	enum counter verdict;
	struct nf_conn *ct;

	if (p->protocol == IPPROTO_ICMP)
		return recall(cfg, p, now, new, until);
	*until = now + cfg->lease;
	ct = find_session(ctx, is_xdp, p, &opts);
	if (!ct)
		return NO_SESSION;
	verdict = judge(ct, opts.dir, cfg, p, new);
	bpf_ct_release(ct);
	return verdict;
}

/* Takes a lease into `into`, which lies in the table. Returns HIT or the kernel's reason. */
static __always_inline enum counter take(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p,
					 struct lease *into, __u32 now)
{
	struct translation new = {};
	struct lease l = {};
	enum counter verdict;
	__u32 in = p->side >> 8, until;
	struct port *port;

	port = bpf_map_lookup_elem(&ports, &in);
	if (!port || load32(port->mac) != p->to_high || *(__u16 *)(port->mac + 4) != p->to_low)
		return NOT_OURS;
	verdict = ask(ctx, is_xdp, cfg, p, now, &new, &until);
	if (verdict == NO_SESSION)
		return verdict;
	if (verdict == HIT && !may_lease(cfg, p, &new, now, until))
		verdict = NOT_SETTLED;
	if (verdict == HIT)
		verdict = route(ctx, p, port, &new, &l, cfg, now);
	if (verdict == HELPED || verdict == NO_ROUTE || verdict == NO_PORT || verdict == NO_ACCOUNT ||
	    verdict == NO_ROOM) {
		l.path = PATH_KERNEL;
		l.serial = p->generation;
	} else if (verdict != HIT) {
		return verdict;
	}
	*(__u64 *)&l.saddr = p->addresses;
	l.ports = p->ports;
	l.side = p->side;
	l.new_ports = new.ports;
	l.session = new.session;
	l.until = until;
	*into = l;
	count(LEASED);
	return verdict;
}

/* Only asks conntrack again: what the routes say has not changed. Returns HIT, or the kernel's reason. */
static __always_inline enum counter renew(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p,
					  struct lease *l, const struct path *path, __u32 now)
{
	struct translation new = {};
	enum counter verdict;
	__u32 until;

	verdict = ask(ctx, is_xdp, cfg, p, now, &new, &until);
	if (verdict != HIT)
		return verdict;
	/* Another session with the same addresses: the next packet takes a lease of it. */
	if (load64(&new.saddr) != new_addresses(path, p) || new.ports != l->new_ports || new.session != l->session) {
		l->serial--;
		return NOT_SETTLED;
	}
	if (!may_lease(cfg, p, &new, now, until))
		return NOT_SETTLED;
	l->until = until;
	count(RENEWED);
	return HIT;
}

/* Whether a place is somebody's: a session that goes on soon has its lease renewed, and not taken by who waits for one. */
static __always_inline int is_kept(__u32 until, __u32 now, const struct config *cfg)
{
	__u32 patience = cfg->lease / 4;

	return until + patience - now - 1 < cfg->lease + patience;
}

/* The place of a packet's lease in its set: its own, or one that nobody uses. 0 if there is none. */
static __always_inline struct lease *place(struct lease_set *set, __u32 home, const struct config *cfg,
					   const struct packet *p, __u32 now)
{
	struct lease *free = 0, *spare = 0;
	int i;

#pragma unroll
	for (i = 0; i < WAYS; i++) {
		struct lease *l = &set->way[(home + i) % WAYS];

		if (is_of(l, p))
			return l;
		if (!free && !is_kept(l->until, now, cfg))
			free = l;
		if (!spare && l->path == PATH_SEEN)
			spare = l;
	}
	if (free)
		return free;
	/* Where many wait for a place, whoever is first must keep it until its second packet now and then. */
	return bpf_get_prandom_u32() % WAYS ? 0 : spare;
}

/* Whether the direction was seen before. If not, it is from now on, and `l` is no lease of anybody. */
static __always_inline int was_seen(struct lease *l, const struct packet *p, __u32 until)
{
	if (is_of(l, p))
		return 1;
	*(__u64 *)&l->saddr = p->addresses;
	l->ports = p->ports;
	l->side = p->side;
	l->until = until;
	l->path = PATH_SEEN;
	return 0;
}

/* The lease in `set` for a packet that `parse` has read, and its path. On HIT both are there. */
static __always_inline enum counter find(void *ctx, int is_xdp, const struct config *cfg, struct lease_set *set,
					 __u32 home, struct packet *p, struct lease **found, struct path **path)
{
	__u32 now = bpf_jiffies64();
	enum counter verdict;
	struct lease *l;

	if (!cfg->enabled)
		return SUSPENDED;
	p->generation = generation(ctx, is_xdp, cfg);
	l = place(set, home, cfg, p, now);
	if (!l)
		return NO_ROOM;
	*found = l;
	if (is_of(l, p) && l->path != PATH_SEEN) {
		int is_held = is_fresh(l->until, now, cfg) && is_open(l, cfg);

		if (l->path != PATH_KERNEL)
			*path = path_of(l, p, cfg, now);
		else if (is_held && l->serial == p->generation)
			return KERNEL_LEASE;
		if (*path && is_held)
			return HIT;
	}
	if (cfg->alive_until < bpf_ktime_get_coarse_ns())
		return SUSPENDED;
	if (*path)
		return renew(ctx, is_xdp, cfg, p, l, *path, now);
	if (!was_seen(l, p, now + cfg->lease))
		return FIRST;
	verdict = take(ctx, is_xdp, cfg, p, l, now);
	if (verdict == HIT)
		*path = path_of(l, p, cfg, now);
	return verdict;
}

/* What the translation adds to a sum over both addresses. */
static __always_inline __u64 addresses_delta(__u64 from, __u64 to)
{
	return delta32((__u32)from, (__u32)to) + delta32((__u32)(from >> 32), (__u32)(to >> 32));
}

/* The addresses change by `delta`, and TTL falls by one. */
static __always_inline void write_headers(struct ethhdr *eth, struct iphdr *ip, const struct path *path, __u64 addresses,
					  __u64 delta)
{
	ip->check = ~fold((__u64)(__u16)~ip->check + delta + bpf_htons(0xfeff));
	ip->ttl--;
	*(__u64 *)&ip->saddr = addresses;
	*(__u32 *)eth->h_dest = load32(path->dmac);
	*(__u32 *)(eth->h_dest + 4) = load32(path->dmac + 4);
	*(__u32 *)(eth->h_source + 2) = load32(path->smac + 2);
}

static __always_inline void account_for(const struct path *path, __u32 bytes, __u32 packets)
{
	__u32 at = path->account;
	struct traffic *t = bpf_map_lookup_elem(&traffic, &at);

	if (t) {
		t->packets += packets;
		t->bytes += bytes;
	}
	count(HIT);
}

/*
 * What the table has for a packet, whose set is fetched from memory while the packet is still being read: of many sessions
 * it is in none of the caches.
 */
static __always_inline enum counter look_up(void *ctx, int is_xdp, void *data, void *data_end, __u32 length,
					    __u32 segment, __u32 ifindex, struct packet *p, struct lease **found,
					    struct path **path)
{
	__u32 zero = 0, at, home;
	struct config *cfg = bpf_map_lookup_elem(&config, &zero);
	struct lease_set *set;
	enum counter verdict;

	if (!cfg || !read_tuple(data, data_end, ifindex, p))
		return NOT_OURS;
	if (may_end(data, data_end, p)) {
		end(ctx, is_xdp, cfg, p);
		return TCP_FLAGS;
	}
	at = set_index(cfg, p, &home);
	set = bpf_map_lookup_elem(&leases, &at);
	if (!set)
		return SUSPENDED;
	asm volatile("" : : "r"(*(volatile __u32 *)&set->way[home % WAYS].saddr));
	verdict = parse(data, data_end, length, segment, p);
	if (verdict == HIT)
		verdict = find(ctx, is_xdp, cfg, set, home, p, found, path);
	if (verdict == HIT && *path && p->mtu > (*path)->mtu)
		return OVER_MTU;
	return verdict;
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
	struct packet p = {};
	struct lease *l = 0;
	struct path *path = 0;
	enum counter verdict;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct tcphdr *tcp = data + ETH_HLEN + sizeof(*ip);
	struct udphdr *udp = (void *)tcp;
	struct echo *echo = (void *)tcp;
	__u32 length = data_end - data;
	__u64 addresses, delta;

	verdict = look_up(ctx, 1, data, data_end, length, 0, ctx->ingress_ifindex, &p, &l, &path);
	if (verdict != HIT || !l || !path || (void *)(udp + 1) > data_end) {
		count(verdict);
		return XDP_PASS;
	}
	addresses = new_addresses(path, &p);
	delta = addresses_delta(p.addresses, addresses);
	if (addresses != p.addresses || l->new_ports != p.ports) {
		__u64 of_ports = delta32(p.ports, l->new_ports);
		__u16 all = fold(delta + of_ports);

		if (p.protocol == IPPROTO_UDP) {
			*(__u32 *)udp = l->new_ports;
			if (udp->check)
				udp->check = udp_checksum(udp->check, all);
		} else if (p.protocol == IPPROTO_TCP) {
			*(__u32 *)udp = l->new_ports;
			if ((void *)(tcp + 1) <= data_end)
				tcp->check = ~fold((__u64)(__u16)~tcp->check + all);
		} else {
			echo->identifier = l->new_ports;
			echo->checksum = ~fold((__u64)(__u16)~echo->checksum + of_ports);
		}
	}
	write_headers(eth, ip, path, addresses, delta);
	account_for(path, p.mtu, 1);
	return bpf_redirect(path->out >> 8, 0);
}

SEC("tcx/ingress")
int outgate_tcx(struct __sk_buff *ctx)
{
	const __u32 headers = ETH_HLEN + sizeof(struct iphdr) + sizeof(struct tcphdr);
	void *data = (void *)(long)ctx->data, *data_end = (void *)(long)ctx->data_end;
	struct packet p = {};
	struct lease *l = 0;
	struct path *path = 0;
	enum counter verdict = NOT_OURS;
	struct ethhdr *eth = data;
	struct iphdr *ip = data + ETH_HLEN;
	struct udphdr *udp = data + ETH_HLEN + sizeof(*ip);
	__u32 out, flags, ports, segments = ctx->gso_segs;
	__u64 addresses, delta;

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
	if (ctx->pkt_type == 0 && !ctx->vlan_present && !ctx->mark)
		verdict = look_up(ctx, 0, data, data_end, ctx->len, ctx->gso_size, ctx->ingress_ifindex, &p, &l, &path);
	if (verdict != HIT || !l || !path || (void *)(udp + 1) > data_end) {
		count(verdict);
		return TCX_NEXT;
	}
	account_for(path, ctx->len - ETH_HLEN, segments ? segments : 1);
	out = path->out;
	ports = l->new_ports;
	addresses = new_addresses(path, &p);
	delta = addresses_delta(p.addresses, addresses);
	write_headers(eth, ip, path, addresses, delta);
	if (addresses != p.addresses || ports != p.ports) {
		/* The checksum may be left to hardware; then it covers the pseudo header only. The helper knows. */
		__u32 at = ETH_HLEN + sizeof(*ip);

		if (unlikely(p.protocol == IPPROTO_ICMP)) {
			/* No pseudo header. */
			((struct echo *)udp)->identifier = ports;
			at += __builtin_offsetof(struct echo, checksum);
			bpf_l4_csum_replace(ctx, at, 0, fold32(delta32(p.ports, ports)), 0);
			goto send;
		}
		*(__u32 *)udp = ports;
		if (p.protocol == IPPROTO_UDP) {
			at += __builtin_offsetof(struct udphdr, check);
			flags = BPF_F_MARK_MANGLED_0;
		} else {
			at += __builtin_offsetof(struct tcphdr, check);
			flags = 0;
		}
		bpf_l4_csum_replace(ctx, at, 0, fold32(delta), flags | BPF_F_PSEUDO_HDR);
		if (ports != p.ports)
			bpf_l4_csum_replace(ctx, at, 0, fold32(delta32(p.ports, ports)), flags);
	}
send:
	if (out & PATH_PEER)
		return bpf_redirect_peer(out >> 8, 0);
	return bpf_redirect(out >> 8, 0);
}
