/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * ICMP echo. Conntrack's kfuncs look up TCP and UDP only, so the kernel tells by itself: a program behind all of
 * netfilter's others at POSTROUTING, which sees only what the kernel carries, notes what conntrack made of an answered
 * session's packet. A lease is taken from that note and ends with it, a lease's time after the packet; the next packet is
 * the kernel's again, which refreshes the entry's timeout and has it noted anew. So conntrack stays the one truth, and
 * sees a packet of each direction a second.
 *
 * A note is needed from a packet to the next of its direction only, so there are few places for them, found by a hash; of
 * two that share one the later has it. A packet comes in and leaves on one CPU, which alone has that place.
 */
#ifndef OUTGATE_ECHO_H
#define OUTGATE_ECHO_H

#include "session.h"

#define READ(to, from) bpf_core_read(&(to), sizeof(to), &(from))

/* The place of this CPU's notes for a direction. */
static __always_inline struct note *note_of(const struct config *cfg, __u64 addresses, __u32 ports, __u32 side)
{
	__u32 at = bpf_get_smp_processor_id() << NOTES_BITS;

	at += hash(cfg, addresses, ((__u64)side << 32) | ports) >> (64 - NOTES_BITS);
	return bpf_map_lookup_elem(&notes, &at);
}

/* What the kernel made of this direction's last packet, and until when that holds. Returns HIT or the kernel's reason. */
static __always_inline enum counter recall(const struct config *cfg, const struct packet *p, __u32 now,
					   struct translation *to, __u32 *until)
{
	struct note *note = note_of(cfg, p->addresses, p->ports, p->side);

	if (!note || load64(&note->saddr) != p->addresses || note->ports != p->ports || note->side != p->side ||
	    note->generation != cfg->generation || !is_fresh(note->until, now, cfg))
		return NO_SESSION;
	to->saddr = note->new_saddr;
	to->daddr = note->new_daddr;
	to->ports = note->new_ports;
	*until = note->until;
	return HIT;
}

/* Reads one of a session's two tuples. */
static __always_inline void read_session(const struct nf_conntrack_tuple *tuple, __u64 *addresses, __u32 *ports)
{
	__u16 source = 0, destination = 0;
	__u32 saddr = 0, daddr = 0;

	READ(saddr, tuple->src.u3.ip);
	READ(daddr, tuple->dst.u3.ip);
	READ(source, tuple->src.u.all);
	READ(destination, tuple->dst.u.all);
	*addresses = ((__u64)daddr << 32) | saddr;
	*ports = ((__u32)destination << 16) | source;
}

/* Notes what becomes of packets of one direction that come in through an interface. */
static __always_inline void note_session(const struct config *cfg, const struct nf_conn *ct, int is_reply, __u32 in)
{
	__u32 ports, back_ports, other_ports, side = in << 8 | IPPROTO_ICMP;
	__u64 addresses, back, other;
	struct note *note;

	/* As it came in; and as an answer to it would, which is the translated one turned round. */
	read_session(&ct->tuplehash[0].tuple, &addresses, &ports);
	read_session(&ct->tuplehash[1].tuple, &back, &back_ports);
	if (is_reply) {
		other = addresses;
		other_ports = ports;
		addresses = back;
		ports = back_ports;
		back = other;
		back_ports = other_ports;
	}
	note = note_of(cfg, addresses, ports, side);
	if (!note)
		return;
	*(__u64 *)&note->saddr = addresses;
	note->ports = ports;
	note->side = side;
	note->new_saddr = back >> 32;
	note->new_daddr = back;
	note->new_ports = (ports & 0xffff0000) | (back_ports & 0xffff);
	note->until = (__u32)bpf_jiffies64() + cfg->lease;
	note->generation = cfg->generation;
}

/* All else that the kernel carries leaves after two or three loads. */
SEC("netfilter")
int outgate_echo(struct bpf_nf_ctx *ctx)
{
	const __u64 must = IPS_SEEN_REPLY | IPS_CONFIRMED;
	unsigned long session = ctx->skb->_nfct, belongs = session & IP_CT_INFO, status = 0;
	const struct nf_conn *ct = (void *)(session - belongs);
	struct net_device *in = ctx->state->in;
	struct nf_ct_ext *ext = 0;
	struct config *cfg;
	__u8 protocol = 0;
	__u32 zero = 0;

	if ((belongs != IP_CT_ESTABLISHED && belongs != IP_CT_ESTABLISHED_REPLY) || !ct || !in)
		return NF_ACCEPT;
	READ(protocol, ct->tuplehash[0].tuple.dst.protonum);
	if (protocol != IPPROTO_ICMP)
		return NF_ACCEPT;
	cfg = bpf_map_lookup_elem(&config, &zero);
	if (!cfg || !cfg->enabled)
		return NF_ACCEPT;
	READ(status, ct->status);
	READ(ext, ct->ext);
	if ((status & must) == must && !is_helped(status, ext))
		note_session(cfg, ct, belongs == IP_CT_ESTABLISHED_REPLY, in->ifindex);
	return NF_ACCEPT;
}

#endif
