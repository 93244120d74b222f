/* SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0 */
/*
 * What the programs and the loader (src/layout.rs) share: the maps and their values. Both sides check the sizes.
 */
#ifndef OUTGATE_FASTPATH_H
#define OUTGATE_FASTPATH_H

/* Why a packet went which way: the index into `counters`. Order and names: src/counters.rs. */
enum counter {
	HIT,           /* translated and sent on */
	NOT_OURS,      /* not IPv4, not TCP, UDP or ICMP echo, not to this router's Ethernet address, tagged */
	FRAGMENT,
	OPTIONS,       /* IPv4 options */
	TTL_ENDS,
	TCP_FLAGS,     /* SYN, FIN, RST, URG, no ACK: the kernel follows the connection's states */
	MALFORMED,     /* lengths or the header's checksum are wrong, or more padding than Ethernet's */
	OVER_MTU,
	SUSPENDED,     /* somebody changed something and the engine has not looked yet, or the engine is gone */
	NO_SESSION,    /* of ICMP echo: or the kernel carried none of its packets for the length of a lease */
	NOT_SETTLED,   /* no answer seen yet, not established, ending */
	HELPED,        /* an ALG, adjusted sequence numbers, timeouts of its own */
	NO_ROUTE,      /* to the router itself, or nowhere */
	NO_NEIGHBOUR,
	WRONG_SIDE,    /* the reverse path leads elsewhere */
	NO_PORT,       /* out of an interface that the fast path does not serve */
	NO_ACCOUNT,    /* it must be counted and has no place */
	NEIGHBOUR_USE, /* once a second a packet for each neighbour, so that the kernel keeps checking it */
	FIRST,         /* of its direction: whoever sends one packet only shall not pay for a lease */
	NO_ROOM,       /* its set is full of leases, or its path's of paths, that are in use */
	KERNEL_LEASE,  /* known for the length of a lease to be the kernel's */
	LEASED,        /* leases taken; not a way of a packet */
	RENEWED,       /* leases for which conntrack alone was asked again; not a way of a packet */
	COUNTERS
};

/* One element: what the engine says. */
struct config {
	__u32 enabled;
	__u32 generation;     /* leases of another one are void */
	__u32 set_mask;       /* sets for each CPU, less one */
	__u32 lease;          /* in jiffies */
	__u32 tcp_timeout;    /* in milliseconds */
	__u32 udp_timeout;    /* in milliseconds */
	__u64 alive_until;    /* CLOCK_MONOTONIC in nanoseconds: no lease is taken after it */
	__u64 seed;           /* of the hash */
};

/* An interface that is served. */
struct port {
	__u8 mac[6];
	__u8 flags;
	__u8 reserved;
};

/* The veth's other end lies in another namespace and nothing shapes in between: straight into it. */
#define PORT_PEER 1
/* The public side: what crosses it is counted, or it is the kernel's. */
#define PORT_PUBLIC 2

/* Whose traffic is counted: a public address and the guests' interface that it was for. */
struct account {
	__be32 address;
	__u32 interface;
};

/*
 * One direction of a session, leased from conntrack and from the routing table: half a cache line. What many sessions
 * have in common is their path's. When a lease's time is over but its path holds, only conntrack is asked again.
 */
struct lease {
	__be32 saddr, daddr;  /* as the packet comes in */
	__u32 ports;          /* of ICMP echo the identifier, and type and code */
	__u32 side;           /* interface << 8 | protocol */
	__u32 new_ports;
	__u32 until;          /* jiffies */
	__u32 serial;         /* of its path when the lease was taken; of the kernel's leases the generation */
	__u16 path;           /* its place in `paths`, or PATH_KERNEL */
	__u16 session;        /* which of `closings` ends it */
} __attribute__((aligned(32)));

/* Not the fast path's for the length of a lease. */
#define PATH_KERNEL 0xffff
/* No lease: the direction was seen once. Whoever needs the place has it. */
#define PATH_SEEN 0xfffe

/* A direction's place begins at one of its set's cache lines; the others take it when that is full. */
#define WAYS 8
#define WAYS_OF_LINE 2

struct lease_set {
	struct lease way[WAYS];
} __attribute__((aligned(64)));

/*
 * Where a packet goes and what becomes of its addresses: the same for many sessions, so that it stays in the fastest
 * cache. Its next hop was asked of the kernel once in the time of a lease. A cache line.
 */
struct path {
	__u64 keep;           /* the bits of both addresses that stay */
	__u64 addresses;      /* the others */
	__u32 generation;     /* of the configuration and of the kernel's routes */
	__u32 serial;         /* rises when the place gets another path: leases of the one before are void */
	__u32 until;          /* jiffies */
	__u32 out;            /* interface << 8 | PATH_* */
	__be32 next_hop;
	__u16 mtu;
	__u16 account;
	__u8 dmac[6], smac[6];
	__u8 to[6];           /* the router's Ethernet address that packets came to */
} __attribute__((aligned(64)));

#define PATH_PEER 1           /* PORT_PEER of the interface */

/* For each CPU, in sets of `PATH_WAYS`. */
#define PATHS 4096
#define PATH_WAYS 8

/* What the kernel made of a packet of ICMP echo: see echo.h. */
struct note {
	__be32 saddr, daddr;  /* as the packet came in */
	__u32 ports;
	__u32 side;
	__be32 new_saddr, new_daddr;
	__u32 new_ports;
	__u32 until;          /* jiffies */
	__u32 generation;     /* of the configuration */
	__u32 reserved;
};

/* For each CPU. */
#define NOTES_BITS 10

struct traffic {
	__u64 packets;
	__u64 bytes;
};

/* By the hash of a TCP packet's addresses and ports, in jiffies. */
struct mark {
	__u32 leased;         /* no lease of a session with such packets is good for longer */
	__u32 ended;          /* when one was seen that may end a session, and one more */
};

#define CLOSINGS 4096
#define MARKS_BITS 12
#define PORTS_MAX 1024
#define ACCOUNTS_MAX 4096

_Static_assert(sizeof(struct config) == 40, "src/layout.rs knows it");
_Static_assert(sizeof(struct lease) == 32, "half a cache line");
_Static_assert(sizeof(struct lease_set) == 256, "src/layout.rs knows it");
_Static_assert(sizeof(struct path) == 64, "a cache line");
_Static_assert(sizeof(struct note) == 40, "no gap within");
_Static_assert(sizeof(struct mark) == 8, "both in one cache line");

#endif
