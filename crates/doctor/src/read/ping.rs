// SPDX-License-Identifier: Apache-2.0
//! `ping`.

/// What ping said.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Pinged {
    /// How many packets were sent.
    pub sent: u32,
    /// How many were answered.
    pub received: u32,
    /// The path's MTU, if somebody told it (ICMP "fragmentation needed", or the kernel from earlier).
    pub told_mtu: Option<u32>,
    /// The first thing that it complained of.
    pub complaint: Option<String>,
}

/// Reads both outputs of ping. `None` when it did not even start to send.
pub fn pinged(stdout: &str, stderr: &str) -> Option<Pinged> {
    let lines = || stdout.lines().chain(stderr.lines()).map(str::trim);
    let complaint = lines().find(|line| {
        let is_reply = line.contains(" bytes from ");
        !is_reply && (line.starts_with("From ") || line.contains("error:") || line.contains("unreachable"))
    });
    let told_mtu = lines().find_map(|line| {
        let (_, rest) = line.split_once("mtu=").or_else(|| line.split_once("mtu = "))?;
        let digits: String = rest.chars().take_while(char::is_ascii_digit).collect();
        digits.parse().ok()
    });
    let Some(totals) = lines().find(|line| line.contains("packets transmitted")) else {
        // Without a route it sends nothing and says so.
        return complaint.map(|text| Pinged {
            complaint: Some(text.to_owned()),
            ..Pinged::default()
        });
    };
    let mut numbers = totals
        .split(", ")
        .filter_map(|part| part.split(' ').next()?.parse().ok());
    Some(Pinged {
        sent: numbers.next()?,
        received: numbers.next()?,
        told_mtu,
        complaint: complaint.map(str::to_owned),
    })
}

impl std::fmt::Display for Pinged {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} of {} answered", self.received, self.sent)?;
        match &self.complaint {
            Some(complaint) => write!(f, " ({complaint})"),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_totals_and_the_complaint_are_read() {
        let text = "PING 198.51.100.53 (198.51.100.53) 1472(1500) bytes of data.\nFrom 203.0.113.1 icmp_seq=1 Frag needed and DF set (mtu = 1300)\n\n--- 198.51.100.53 ping statistics ---\n2 packets transmitted, 0 received, +2 errors, 100% packet loss, time 1002ms\n";
        let pinged = pinged(text, "ping: local error: message too long, mtu=1300\n").unwrap();
        assert_eq!(
            (pinged.sent, pinged.received, pinged.told_mtu),
            (2, 0, Some(1300))
        );
        assert!(pinged.complaint.unwrap().contains("Frag needed"));
    }

    #[test]
    fn without_a_route_there_is_only_a_complaint() {
        let seen = pinged("", "ping: connect: Network is unreachable\n").unwrap();
        assert_eq!(seen.sent, 0);
        assert_eq!(pinged("", ""), None);
    }

    #[test]
    fn a_ping_that_was_answered_complains_of_nothing() {
        let text = "69 bytes from 198.51.100.53: icmp_seq=1 ttl=62 time=0.236 ms\n2 packets transmitted, 2 received, 0% packet loss, time 313ms\n";
        let pinged = pinged(text, "").unwrap();
        assert_eq!((pinged.received, pinged.complaint), (2, None));
    }
}
