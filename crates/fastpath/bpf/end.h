/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * The ends of TCP sessions. A packet that may end one voids the leases of both directions, on all CPUs; which session it
 * is only conntrack knows. Most such packets belong to sessions that have no lease, and need not ask: `marks` tells.
 *
 * Conntrack finds a session by two tuples and no others, as packets come in on either side of the translation. Who takes
 * or renews a lease knows both: it marks both as leased until the lease's end, and then looks whether a packet of either
 * may have ended the session since before conntrack was asked. Who sees such a packet writes that down, and then looks
 * whether its tuple is leased. Both write first and read afterwards, with a full barrier in between (atomic operations
 * that return a value), so at least one of two at the same time sees the other: either the lease is not taken, or it is
 * voided. Different tuples that share a mark cost a question or a lease's delay, never an end that is not seen.
 */
#ifndef OUTGATE_END_H
#define OUTGATE_END_H

#include "session.h"

/* Half of half the range of jiffies: a mark that seems to lie further ahead is an old one. */
#define AHEAD (1u << 30)
/* An end that seems to lie further ahead, in jiffies, is an old one: nobody takes that long to take a lease. */
#define AT_WORK (1u << 16)

static __always_inline struct mark *mark_of(const struct config *cfg, __u64 addresses, __u32 ports)
{
	__u32 at = hash(cfg, addresses, ports) >> (64 - MARKS_BITS);

	return bpf_map_lookup_elem(&marks, &at);
}

/* Moves the mark to `until`, if it is not beyond. Whether it is there: two others at once are not waited for. */
static __always_inline int lease_until(struct mark *mark, __u32 until)
{
	__u32 seen = mark->leased, found, i;

#pragma unroll
	for (i = 0; i < 2; i++) {
		found = __sync_val_compare_and_swap(&mark->leased, seen, seen - until < AHEAD ? seen : until);
		if (found == seen)
			return 1;
		seen = found;
	}
	return 0;
}

/*
 * Says that the session's packets are leased until `until`. `now` is from before conntrack was asked. Whether the lease may
 * be: no packet that may have ended the session came since then, or a jiffy before, when the kernel had yet to see it.
 */
static __always_inline int may_lease(const struct config *cfg, const struct packet *p, const struct translation *new,
				     __u32 now, __u32 until)
{
	__u64 back = ((__u64)new->saddr << 32) | new->daddr;
	struct mark *here, *there;

	if (p->protocol != IPPROTO_TCP)
		return 1;
	here = mark_of(cfg, p->addresses, p->ports);
	there = mark_of(cfg, back, (new->ports << 16) | (new->ports >> 16));
	if (!here || !there || !lease_until(here, until) || !lease_until(there, until))
		return 0;
	return here->ended - now > AT_WORK && there->ended - now > AT_WORK;
}

/* The end of a session, or what may be: the leases of both directions are void from now on. */
static __always_inline void end(void *ctx, int is_xdp, const struct config *cfg, const struct packet *p)
{
	struct bpf_ct_opts opts = { .netns_id = BPF_F_CURRENT_NETNS, .l4proto = IPPROTO_TCP };
	struct mark *mark = mark_of(cfg, p->addresses, p->ports);
	__u32 now = bpf_jiffies64(), *closed, at;
	struct nf_conn *ct;

	if (!mark)
		return;
	/* And one: the kernel has yet to see the packet. */
	__sync_lock_test_and_set(&mark->ended, now + 1);
	if ((__s32)(mark->leased - now) < 0)
		return;
	ct = find_session(ctx, is_xdp, p, &opts);
	if (!ct)
		return;
	at = session_hash(ct) % CLOSINGS;
	bpf_ct_release(ct);
	closed = bpf_map_lookup_elem(&closings, &at);
	if (closed)
		*closed = (__u32)bpf_jiffies64() + 1;
}

#endif
