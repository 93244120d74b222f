/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* What conntrack says of a packet's session. */
#ifndef OUTGATE_SESSION_H
#define OUTGATE_SESSION_H

#include "packet.h"

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

/* Whether there is more about a session than the fast path knows. (What adjusts sequence numbers, a SYN proxy too, says so
 * in the status.) */
static __always_inline int is_helped(__u64 status, struct nf_ct_ext *ext)
{
	const __u64 not = IPS_DYING | IPS_SEQ_ADJUST | IPS_FIXED_TIMEOUT | IPS_UNTRACKED | IPS_OFFLOAD | IPS_HW_OFFLOAD;

	return (status & not) || (ext && (HAS(ext, NF_CT_EXT_HELPER) || HAS(ext, NF_CT_EXT_TIMEOUT)));
}

/* What a session makes of a packet. */
struct translation {
	__be32 saddr, daddr;
	__u32 ports;
	__u16 session;
};

/* Reads the session: what it makes of the packet. Returns HIT or the kernel's reason. */
static __always_inline enum counter judge(struct nf_conn *ct, __u8 dir, const struct config *cfg,
					  const struct packet *p, struct translation *to)
{
	const __u64 must = IPS_SEEN_REPLY | IPS_ASSURED | IPS_CONFIRMED;
	__u64 status = ct->status;
	__be16 sport, dport;
	__u32 timeout;

	to->session = session_hash(ct);
	if ((status & must) != must)
		return NOT_SETTLED;
	if (p->protocol == IPPROTO_TCP && ct->proto.tcp.state != TCP_CONNTRACK_ESTABLISHED)
		return NOT_SETTLED;
	if (is_helped(status, ct->ext))
		return HELPED;
	if (dir == 0) {
		to->saddr = ct->tuplehash[1].tuple.dst.u3.ip;
		to->daddr = ct->tuplehash[1].tuple.src.u3.ip;
		sport = ct->tuplehash[1].tuple.dst.u.all;
		dport = ct->tuplehash[1].tuple.src.u.all;
	} else {
		to->saddr = ct->tuplehash[0].tuple.dst.u3.ip;
		to->daddr = ct->tuplehash[0].tuple.src.u3.ip;
		sport = ct->tuplehash[0].tuple.dst.u.all;
		dport = ct->tuplehash[0].tuple.src.u.all;
	}
	to->ports = ((__u32)dport << 16) | sport;
	timeout = p->protocol == IPPROTO_TCP ? cfg->tcp_timeout : cfg->udp_timeout;
	if (timeout)
		bpf_ct_change_timeout(ct, timeout);
	return HIT;
}

#endif
