// SPDX-License-Identifier: Apache-2.0
//! Faults of the host beneath. A lab has mounts of its own, so what this kernel shows of damaged lines and failing hardware
//! is put in front of its /sys and /proc for this lab alone: the doctor reads the same paths as on any other host.

use super::{Act, Fault};

/// An empty /sys/class that still shows the network, and an empty /sys/devices/system, to put sensors into.
const SENSORS: Act = (
    "host",
    "bash -c 'mkdir -p /tmp/net; mount --bind /sys/class/net /tmp/net; mount -t tmpfs none /sys/class; mkdir -p /sys/class/net \
     /sys/class/hwmon/hwmon0; mount --bind /tmp/net /sys/class/net; umount /tmp/net; mount -t tmpfs none /sys/devices/system; \
     mkdir -p /sys/devices/system/edac/mc/mc0 /sys/devices/system/cpu/cpu0/thermal_throttle'",
);
const NO_SENSORS: Act = ("host", "umount -R /sys/class /sys/devices/system");

/// A management controller whose ipmitool prints this.
macro_rules! ipmitool {
    ($says:literal) => {
        (
            "host",
            concat!(
                "bash -c 'mount -t tmpfs none /usr/local/sbin; cd /usr/local/sbin; printf \"",
                $says,
                "\" >listing; printf \"#!/bin/sh\\nexec cat /usr/local/sbin/listing\\n\" >ipmitool; chmod +x ipmitool'"
            ),
        )
    };
}
const NO_IPMITOOL: Act = ("host", "umount /usr/local/sbin");

/// Sensors that are there and say nothing that can be understood: no memory controller counts, no sensor has a reading.
pub const SILENT: &[Act] = &[SENSORS, ipmitool!("Could not open device\\n")];

/// What wears out.
pub const FAULTS: &[Fault] = &[
    Fault::outside(
        "uplink's frames arrive damaged (attenuation)",
        &[(
            "rise",
            "/sys/class/net/pub-gw/statistics/rx_crc_errors 5 %012d%.0s\\n",
        )],
        "link-failing",
        "damaged on the line: cable, optics, attenuation",
    )
    .undo(&[("fall", "/sys/class/net/pub-gw/statistics/rx_crc_errors")]),
    Fault::outside(
        "uplink loses one frame of thousands",
        &[
            (
                "rise",
                "/sys/class/net/pub-gw/statistics/rx_packets 10000 %012d%.0s\\n",
            ),
            (
                "rise",
                "/sys/class/net/pub-gw/statistics/rx_missed_errors 2 %012d%.0s\\n",
            ),
        ],
        "link-errors",
        "rx_missed_errors rose by",
    )
    .undo(&[
        ("fall", "/sys/class/net/pub-gw/statistics/rx_packets"),
        ("fall", "/sys/class/net/pub-gw/statistics/rx_missed_errors"),
    ]),
    Fault::outside(
        "host's processor is taken by other machines (steal)",
        &[("rise", "/proc/stat 90 cpu__%012d_0_0_0_0_0_0_%012d\\n")],
        "host-trouble",
        "CPU steal: 50 %",
    )
    .undo(&[("fall", "/proc/stat")]),
    Fault::outside(
        "host's processor is throttled",
        &[
            SENSORS,
            (
                "rise",
                "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count 1 %012d%.0s\\n",
            ),
        ],
        "host-trouble",
        "CPU throttling: throttled",
    )
    .undo(&[
        (
            "fall",
            "/sys/devices/system/cpu/cpu0/thermal_throttle/core_throttle_count",
        ),
        NO_SENSORS,
    ]),
    Fault::outside(
        "host's memory has an uncorrected error (ECC)",
        &[
            SENSORS,
            (
                "host",
                "bash -c 'cd /sys/devices/system/edac/mc/mc0; echo 4 >ce_count; echo 1 >ue_count'",
            ),
        ],
        "host-trouble",
        "memory ECC: 4 corrected and 1 uncorrected",
    )
    .undo(&[NO_SENSORS]),
    Fault::outside(
        "host is too hot",
        &[
            SENSORS,
            (
                "host",
                "bash -c 'cd /sys/class/hwmon/hwmon0; echo 101000 >temp1_input; echo 100000 >temp1_crit'",
            ),
        ],
        "host-trouble",
        "temperature: 101 °C",
    )
    .undo(&[NO_SENSORS]),
    Fault::outside(
        "management controller reports a sensor beyond its upper critical mark (ipmitool)",
        &[ipmitool!(
            "Inlet Temp,24,degrees C,ok\\nCPU1 Temp,98,degrees C,cr\\nFAN 3,,,ns\\nPS1 Status,01h,ok,10.1,Presence detected\\n"
        )],
        "host-trouble",
        "ipmitool: CPU1 Temp 98 degrees C is beyond its critical mark",
    )
    .undo(&[NO_IPMITOOL]),
];
