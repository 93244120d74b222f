/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the programs know of the running kernel: only the fields they read, relocated at load time by their names
 * (CO-RE), so that no vmlinux.h has to be made. What UAPI has comes from linux/bpf.h.
 */
#ifndef OUTGATE_KERNEL_H
#define OUTGATE_KERNEL_H

#include <linux/types.h>
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>
#include <bpf/bpf_core_read.h>
#include <bpf/bpf_endian.h>

#pragma clang attribute push(__attribute__((preserve_access_index)), apply_to = record)

union nf_inet_addr {
	__be32 ip;
};

struct nf_conntrack_tuple {
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all;
		} u;
	} src;
	struct {
		union nf_inet_addr u3;
		union {
			__be16 all; /* of ICMP type and code */
		} u;
		__u8 protonum;
	} dst;
};

struct nf_conntrack_tuple_hash {
	struct nf_conntrack_tuple tuple;
};

struct nf_ct_ext {
	__u8 offset[8];
};

struct ip_ct_tcp {
	__u8 state;
};

union nf_conntrack_proto {
	struct ip_ct_tcp tcp;
};

struct nf_conn {
	struct nf_conntrack_tuple_hash tuplehash[2];
	unsigned long status;
	struct nf_ct_ext *ext;
	union nf_conntrack_proto proto;
};

typedef struct {
	int counter;
} atomic_t;

struct netns_ipv4 {
	atomic_t rt_genid; /* rises whenever a route, an address, a rule of routing or an interface changes */
};

struct net {
	struct netns_ipv4 ipv4;
};

typedef struct {
	struct net *net;
} possible_net_t;

struct net_device {
	int ifindex;
	possible_net_t nd_net;
};

struct xdp_rxq_info {
	struct net_device *dev;
};

struct xdp_buff {
	struct xdp_rxq_info *rxq;
};

struct sk_buff {
	struct net_device *dev;
	unsigned long _nfct; /* the conntrack entry, and in its lowest bits how the packet belongs to it */
};

struct nf_hook_state {
	struct net_device *in;
};

struct bpf_nf_ctx {
	const struct nf_hook_state *state;
	struct sk_buff *skb;
};

#pragma clang attribute pop

/* Their numbers depend on the kernel's configuration. */
enum nf_ct_ext_id {
	NF_CT_EXT_HELPER,
	NF_CT_EXT_TIMEOUT,
};

/* linux/netfilter/nf_conntrack_common.h */
enum {
	IP_CT_ESTABLISHED = 0,
	IP_CT_ESTABLISHED_REPLY = 3,
	IP_CT_INFO = 7,
	IPS_SEEN_REPLY = 1 << 1,
	IPS_ASSURED = 1 << 2,
	IPS_CONFIRMED = 1 << 3,
	IPS_SRC_NAT = 1 << 4,
	IPS_DST_NAT = 1 << 5,
	IPS_SEQ_ADJUST = 1 << 6,
	IPS_DYING = 1 << 9,
	IPS_FIXED_TIMEOUT = 1 << 10,
	IPS_UNTRACKED = 1 << 12,
	IPS_OFFLOAD = 1 << 14,
	IPS_HW_OFFLOAD = 1 << 15,
	TCP_CONNTRACK_ESTABLISHED = 3,
};

/* The first form of the kfuncs' options (12 bytes), which every kernel that has them takes. */
struct bpf_ct_opts {
	__s32 netns_id;
	__s32 error;
	__u8 l4proto;
	__u8 dir;
	__u8 reserved[2];
};

extern struct nf_conn *bpf_xdp_ct_lookup(struct xdp_md *, struct bpf_sock_tuple *, __u32, struct bpf_ct_opts *,
					 __u32) __ksym;
extern struct nf_conn *bpf_skb_ct_lookup(struct __sk_buff *, struct bpf_sock_tuple *, __u32, struct bpf_ct_opts *,
					 __u32) __ksym;
extern void *bpf_cast_to_kern_ctx(void *) __ksym;
extern void bpf_ct_release(struct nf_conn *) __ksym;
extern int bpf_ct_change_timeout(struct nf_conn *, __u32) __ksym;

/* linux/netfilter.h */
#define NF_ACCEPT 1

/* linux/bpf.h of Debian 12 is older than this flag. */
#define FIB_LOOKUP_SKIP_NEIGH (1U << 2)

#ifndef TCX_NEXT
#define TCX_NEXT -1
#endif

#endif
