/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/* The maps that the programs share. */
#ifndef OUTGATE_MAPS_H
#define OUTGATE_MAPS_H

#include "kernel.h"
#include "fastpath.h"

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

/* Which packets may end a session that has a lease: see end.h. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << MARKS_BITS);
	__type(key, __u32);
	__type(value, struct mark);
} marks SEC(".maps");

/* The loader sets its size: CPUs times PATHS. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, PATHS);
	__type(key, __u32);
	__type(value, struct path);
} paths SEC(".maps");

/* The loader sets its size: CPUs times notes. */
struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, 1 << NOTES_BITS);
	__type(key, __u32);
	__type(value, struct note);
} notes SEC(".maps");

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

/* Of addresses and what else tells two apart: no bits of the seed are known outside, the highest of the result are the best. */
static __always_inline __u64 hash(const struct config *cfg, __u64 addresses, __u64 rest)
{
	__u64 h = (addresses ^ cfg->seed) * 0x9e3779b97f4a7c15ull;

	h ^= h >> 32;
	return (h + rest) * 0xc2b2ae3d27d4eb4full;
}

/* `until` is never further away than a lease: an older number means that jiffies went round. */
static __always_inline int is_fresh(__u32 until, __u32 now, const struct config *cfg)
{
	return until - now - 1 < cfg->lease;
}

static __always_inline void count(enum counter which)
{
	__u32 zero = 0;
	__u64 *all = bpf_map_lookup_elem(&counters, &zero);

	if (all && which < COUNTERS)
		all[which]++;
}

#endif
