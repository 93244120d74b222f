// SPDX-License-Identifier: Apache-2.0
//! Random packets of sessions of every kind that the router translates, and of none.

use std::net::Ipv4Addr;

use outgate_model::MacAddr;
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::frame::{ACK, FIN, Frame, PSH, RST, SYN, icmp, set_header_checksum, tcp, udp};
use super::{
    FAR, FAR_MAC, GUEST, GUEST_MAC, INSIDE_MAC, OUTSIDE_MAC, PING_INSIDE, PING_OUTSIDE, PUBLIC, STATIC,
};

/// The guest that owns [`STATIC`].
pub const OWNER: Ipv4Addr = Ipv4Addr::new(10, 1, 1, 20);
const ELSEWHERE: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 1);

/// Which cable a packet is put on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Side {
    Guest,
    Far,
}

const OPTIONS: [[u8; 8]; 4] = [
    [7, 7, 4, 0, 0, 0, 0, 0],
    [148, 4, 0, 0, 0, 0, 0, 0],
    [131, 7, 4, 10, 1, 1, 1, 0],
    [7, 200, 4, 0, 0, 0, 0, 0],
];

const REQUEST: u8 = 8;
const REPLY: u8 = 0;

/// Of pings the identifier, in both places, as that side has it.
type Endpoint = (Ipv4Addr, u16);

/// One direction of a session, as its sender writes it.
#[derive(Debug, Clone, Copy)]
struct Half {
    side: Side,
    from: Endpoint,
    to: Endpoint,
}

#[derive(Debug)]
struct Session {
    protocol: u8,
    opens: Half,
    answers: Half,
    /// Of TCP: how far the handshake is: 3 is established.
    phase: u8,
    /// Whether the router has seen its first packet. An answer before would be a session of its own, whose port
    /// translation would have to give way, to a port that it chooses by chance.
    opened: bool,
    /// A rule drops what opens it.
    blocked: bool,
}

/// A source of packets. The same seed gives the same packets.
pub struct Traffic {
    random: StdRng,
    sessions: Vec<Session>,
}

impl Traffic {
    pub fn new(seed: u64, sessions: u16) -> Self {
        let pings = (0..sessions / 4).map(ping);
        let sessions = (0..sessions).map(session).chain(pings).collect();
        Self {
            random: StdRng::seed_from_u64(seed),
            sessions,
        }
    }

    fn chance(&mut self, of_thousand: u32) -> bool {
        self.random.random_range(0..1000) < of_thousand
    }

    /// The next packet that is sent on this side.
    pub fn next(&mut self, side: Side) -> Vec<u8> {
        loop {
            let index = self.random.random_range(0..self.sessions.len());
            let opens = self.random.random();
            let session = &self.sessions[index];
            let half = if opens { session.opens } else { session.answers };
            if half.side == side && !session.opened {
                if opens {
                    return self.open(index, half);
                }
                continue;
            }
            if half.side == side {
                let protocol = session.protocol;
                return match self.random.random_range(0..1000) {
                    0..20 => self.icmp_error(half, protocol),
                    20..30 => self.echo(half),
                    30..50 => self.stranger(side),
                    50..60 => self.noise(half),
                    _ => self.of_session(index, half, opens),
                };
            }
        }
    }

    /// The ports that sessions from inside have: they are deleted or blocked by them.
    pub fn close(&mut self, is_meant: impl Fn(u16) -> bool, blocked: bool) {
        for session in &mut self.sessions {
            if is_meant(session.opens.from.1) {
                (session.opened, session.phase, session.blocked) = (false, 0, blocked);
            }
        }
    }

    /// A first packet, with nothing wrong.
    fn open(&mut self, index: usize, half: Half) -> Vec<u8> {
        let session = &mut self.sessions[index];
        let protocol = session.protocol;
        session.opened = !session.blocked;
        session.phase = u8::from(session.opened);
        let body = match protocol {
            6 => tcp(half.from, half.to, (self.random.random(), 0, SYN), &[], &[]),
            1 => echo(REQUEST, half.from.1, b"first"),
            _ => udp(half.from, half.to, b"first"),
        };
        let mut frame = self.frame(half, protocol, body);
        (frame.ttl, frame.fragment) = (64, 0);
        frame.bytes()
    }

    fn of_session(&mut self, index: usize, half: Half, opens: bool) -> Vec<u8> {
        let protocol = self.sessions[index].protocol;
        let length = match self.random.random_range(0..10) {
            0..5 => self.random.random_range(0..40),
            5..8 => self.random.random_range(0..600),
            _ => self.random.random_range(0..1440),
        };
        let payload = self.payload(length);
        let body = if protocol == 6 {
            let numbers = self.numbers(index, opens);
            if numbers.2 & SYN != 0 && opens {
                return self.open(index, half);
            }
            let options: &[u8] = if self.chance(300) {
                &[1, 1, 8, 10, 1, 2, 3, 4, 5, 6, 7, 8]
            } else {
                &[]
            };
            tcp(half.from, half.to, numbers, options, &payload)
        } else if protocol == 1 {
            let kind = if opens { REQUEST } else { REPLY };
            echo(kind, half.from.1, &payload)
        } else {
            udp(half.from, half.to, &payload)
        };
        let frame = self.frame(half, protocol, body);
        self.spoil(half, frame)
    }

    /// Sequence numbers and flags: the handshake first, then mostly data, and now and then something else.
    fn numbers(&mut self, index: usize, opens: bool) -> (u32, u32, u8) {
        let (seq, ack) = (self.random.random(), self.random.random());
        let strange = self.random.random_range(0..1000);
        let session = &mut self.sessions[index];
        let random: u8 = self.random.random();
        let flags = match (session.phase, opens) {
            (0, true) => {
                session.phase = 1;
                SYN
            }
            (1, false) => {
                session.phase = 2;
                SYN | ACK
            }
            (2, true) => {
                session.phase = 3;
                ACK
            }
            _ => match strange {
                0..8 => {
                    session.phase = if strange < 4 { 0 } else { session.phase };
                    FIN | ACK
                }
                8..11 => {
                    session.phase = 0;
                    RST | ACK
                }
                11..14 if opens => SYN,
                14..17 => SYN | ACK,
                17..30 => random & if opens { !0 } else { !SYN },
                30..500 => ACK | PSH,
                500..520 => ACK | 0xc0,
                _ => ACK,
            },
        };
        (seq, ack, flags)
    }

    fn payload(&mut self, length: usize) -> Vec<u8> {
        let mut payload = vec![0; length];
        self.random.fill(payload.as_mut_slice());
        payload
    }

    fn frame(&mut self, half: Half, protocol: u8, body: Vec<u8>) -> Frame {
        let (to, from) = macs(half.side);
        Frame {
            to,
            from,
            source: half.from.0,
            destination: half.to.0,
            protocol,
            ttl: if self.chance(20) {
                self.random.random_range(0..3)
            } else {
                self.random.random_range(2..=255)
            },
            tos: if self.chance(100) { self.random.random() } else { 0 },
            id: self.random.random(),
            fragment: if self.chance(700) { 0x4000 } else { 0 },
            options: Vec::new(),
            body,
        }
    }

    /// Makes something wrong with one frame of twelve.
    fn spoil(&mut self, half: Half, mut frame: Frame) -> Vec<u8> {
        let what: usize = self.random.random_range(0..1000);
        match what {
            0..10 => frame.options = vec![1, 1, 1, 0],
            // Record route, router alert, loose source route, one that is too long. (A timestamp would differ.)
            10..15 => frame.options = OPTIONS[what % OPTIONS.len()].to_vec(),
            15..20 => frame.fragment = 0x2000,
            20..25 => frame.fragment = self.random.random_range(1..100),
            25..28 => frame.fragment |= 0x8000,
            28..31 => frame.to = MacAddr([2, 0, 0, 9, 9, 9]),
            31..33 => frame.to = MacAddr([0xff; 6]),
            33..36 => frame.source = FAR,
            36..39 if half.side == Side::Far => frame.source = GUEST,
            36..39 => frame.source = Ipv4Addr::new(192, 0, 2, 7),
            39..41 => frame.source = PUBLIC,
            _ => {}
        }
        let mut bytes = frame.bytes();
        let last = bytes.len() - 1;
        match what {
            41..50 => bytes[24] ^= 0x55,
            50..60 => bytes[last] ^= 0x55,
            60..65 if frame.protocol == 17 => bytes[40..42].fill(0),
            65..70 if frame.protocol == 17 => bytes[38..40].copy_from_slice(&[0x7f, 0xff]),
            70..73 if frame.protocol == 17 => bytes[38..40].copy_from_slice(&[0, 7]),
            // Another code; another kind of message.
            60..65 if frame.protocol == 1 => bytes[35] = 1,
            65..73 if frame.protocol == 1 => bytes[34] = [13, 14, 15, 17][what % 4],
            65..70 => bytes[46] = 0xf0,
            70..73 => bytes[46] = 0x10,
            73..76 => bytes.truncate(last.max(40) - 3),
            76..79 => bytes.resize(last + 60, 0xee),
            79..81 => {
                bytes[14] = 0x44;
                set_header_checksum(&mut bytes, 16);
            }
            81..83 => bytes[12..14].copy_from_slice(&[0x81, 0]),
            _ => {}
        }
        bytes
    }

    /// An error about the other direction's packet, with its header inside.
    fn icmp_error(&mut self, half: Half, protocol: u8) -> Vec<u8> {
        let ports = [half.to.1.to_be_bytes(), half.from.1.to_be_bytes()].concat();
        let payload = self.payload(8);
        let body = if protocol == 1 {
            let kind = if self.chance(500) { REQUEST } else { REPLY };
            echo(kind, half.from.1, &payload)
        } else {
            [ports, payload].concat()
        };
        let inner = Half {
            from: half.to,
            to: half.from,
            ..half
        };
        let inner = self.frame(inner, protocol, body).bytes();
        let (kind, code) = [(3, 3), (3, 1), (3, 4), (11, 0), (12, 0)][self.random.random_range(0..5)];
        let rest = if code == 4 { [0, 0, 5, 0] } else { [0; 4] };
        let body = icmp(kind, code, rest, &inner[14..]);
        self.frame(half, 1, body).bytes()
    }

    fn echo(&mut self, half: Half) -> Vec<u8> {
        let kind = if self.chance(500) { REQUEST } else { REPLY };
        let body = echo(kind, half.from.1, b"ping");
        self.frame(half, 1, body).bytes()
    }

    /// Of no session, or the first of a new one.
    fn stranger(&mut self, side: Side) -> Vec<u8> {
        let port: u16 = self.random.random_range(40_000..60_000);
        let (from, to) = match side {
            Side::Guest => ((GUEST, port), (FAR, self.random.random_range(1..1000))),
            Side::Far => ((FAR, port), (PUBLIC, self.random.random_range(1..1000))),
        };
        let half = Half { side, from, to };
        let body = if self.chance(500) {
            tcp(
                from,
                to,
                (1, 0, if self.chance(500) { SYN } else { ACK }),
                &[],
                &[],
            )
        } else {
            return self.frame(half, 17, udp(from, to, b"hello")).bytes();
        };
        self.frame(half, 6, body).bytes()
    }

    /// Arbitrary bytes behind a right header, or all of them arbitrary.
    fn noise(&mut self, half: Half) -> Vec<u8> {
        let length = self.random.random_range(0..80);
        let body = self.payload(length);
        let protocol = [6, 17, 1, 47, 50, 132, 255][self.random.random_range(0..7)];
        let mut bytes = self.frame(half, protocol, body).bytes();
        if self.chance(300) {
            let from = self.random.random_range(14..bytes.len());
            self.random.fill(&mut bytes[from..]);
        }
        bytes
    }
}

/// An echo message.
fn echo(kind: u8, id: u16, payload: &[u8]) -> Vec<u8> {
    let [high, low] = id.to_be_bytes();
    icmp(kind, 0, [high, low, 0, 1], payload)
}

fn macs(side: Side) -> (MacAddr, MacAddr) {
    match side {
        Side::Guest => (INSIDE_MAC, GUEST_MAC),
        Side::Far => (OUTSIDE_MAC, FAR_MAC),
    }
}

/// Sessions of each protocol: source NAT, static NAT both ways, forwarded ports, hairpin. No two share a port that
/// translation could clash on, so that it never has to choose one.
fn session(number: u16) -> Session {
    let (inner, outer) = (20_000 + number, 30_000 + number);
    let far = if number.is_multiple_of(3) { ELSEWHERE } else { FAR };
    let guest = |from, to| Half {
        side: Side::Guest,
        from,
        to,
    };
    let outside = |from, to| Half {
        side: Side::Far,
        from,
        to,
    };
    let (opens, answers) = match number % 8 / 2 {
        0 => (
            guest((GUEST, inner), (far, 53)),
            outside((far, 53), (PUBLIC, inner)),
        ),
        1 if number % 16 < 8 => (
            guest((OWNER, inner), (far, 443)),
            outside((far, 443), (STATIC, inner)),
        ),
        1 => (
            outside((far, outer), (STATIC, 443)),
            guest((OWNER, 443), (far, outer)),
        ),
        2 => (
            outside((far, outer), (PUBLIC, 8080)),
            guest((GUEST, 80), (far, outer)),
        ),
        _ => (
            guest((OWNER, inner), (PUBLIC, 8080)),
            guest((GUEST, 80), (PUBLIC, inner)),
        ),
    };
    Session {
        protocol: if number.is_multiple_of(2) { 6 } else { 17 },
        opens,
        answers,
        phase: 0,
        opened: false,
        blocked: false,
    }
}

/// Pings: source NAT that keeps the identifier, source NAT that gives another one, static NAT both ways, hairpin.
fn ping(number: u16) -> Session {
    let id = 25_000 + number;
    let far = if number.is_multiple_of(3) { ELSEWHERE } else { FAR };
    let half = |side, from, to, id| Half {
        side,
        from: (from, id),
        to: (to, id),
    };
    let (opens, answers) = match number % 5 {
        0 => (
            half(Side::Guest, GUEST, far, id),
            half(Side::Far, far, PUBLIC, id),
        ),
        // To one address each, since they all leave with one identifier.
        1 => {
            let far = Ipv4Addr::from(u32::from(Ipv4Addr::new(198, 51, 101, 0)) + u32::from(number));
            (
                half(Side::Guest, GUEST, far, PING_INSIDE),
                half(Side::Far, far, PUBLIC, PING_OUTSIDE),
            )
        }
        2 => (
            half(Side::Guest, OWNER, far, id),
            half(Side::Far, far, STATIC, id),
        ),
        3 => (
            half(Side::Far, far, STATIC, id),
            half(Side::Guest, OWNER, far, id),
        ),
        _ => (
            half(Side::Guest, GUEST, STATIC, id),
            half(Side::Guest, OWNER, PUBLIC, id),
        ),
    };
    Session {
        protocol: 1,
        opens,
        answers,
        phase: 0,
        opened: false,
        blocked: false,
    }
}
