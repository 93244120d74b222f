// SPDX-License-Identifier: GPL-2.0-only OR Apache-2.0
/* For tests: lets everything pass. A veth whose other end has it takes frames from XDP. */
#include <linux/bpf.h>
#include <bpf/bpf_helpers.h>

char LICENSE[] SEC("license") = "Dual BSD/GPL";

SEC("xdp")
int pass(struct xdp_md *ctx)
{
	return XDP_PASS;
}
