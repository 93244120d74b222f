#!/bin/sh
# SPDX-License-Identifier: Apache-2.0
# Run by udhcpc: prints what the DHCP server said, one tab-separated line; the guest's process does the rest.
printf '%s\t%s\t%s\t%s\t%s\t%s\t%s\n' "$1" "${ip-}" "${mask-}" "${router-}" "${mtu-}" "${dns-}" "${domain-}"
