//! What an x86-64 instruction costs, read off its first bytes: prefixes and opcode, no more of a decoder than that.

/// What the ruler tells apart.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Nothing that another processor would notice.
    Plain,
    /// An atomic read-modify-write: a `lock` prefix, or `xchg` with memory, which locks without one.
    Locked,
    /// `mfence`, `lfence`, `sfence`, or the locked no-op on the stack that compilers use in their place.
    Fence,
    /// A call of the kernel.
    Syscall,
}

/// An instruction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Instruction {
    pub(crate) kind: Kind,
    /// It may stop at the same place again: a string instruction with a repeat prefix.
    pub(crate) repeats: bool,
    /// `int3`.
    pub(crate) is_breakpoint: bool,
}

const INT3: u8 = 0xCC;

/// Decodes the instruction that `bytes` begin with; 15 are as long as one may be.
pub(crate) fn decode(bytes: &[u8; 16]) -> Instruction {
    let (mut at, mut lock, mut repeat) = (0, false, false);
    loop {
        match bytes[at] {
            0xF0 => lock = true,
            0xF2 | 0xF3 => repeat = true,
            0x26 | 0x2E | 0x36 | 0x3E | 0x64..=0x67 => {}
            _ => break,
        }
        at += 1;
        assert!(at < 15, "an instruction has an opcode: {bytes:02X?}");
    }
    if bytes[at] & 0xF0 == 0x40 {
        at += 1; // REX
    }
    // An opcode at the very end of the bytes has no operand that matters.
    let byte = |n: usize| bytes.get(at + n).copied().unwrap_or(0);
    let (opcode, modrm) = (byte(0), byte(1));
    let memory = |modrm: u8| modrm < 0xC0;
    let kind = match (opcode, modrm) {
        (0x0F, 0x05 | 0x34) | (0xCD, 0x80) => Kind::Syscall,
        // lfence, mfence, sfence: 0F AE with a register operand 5, 6, 7.
        (0x0F, 0xAE) if byte(2) >= 0xE8 => Kind::Fence,
        _ if lock && is_or_nothing_on_the_stack(opcode, modrm, byte(2)) => Kind::Fence,
        _ if lock => Kind::Locked,
        (0x86 | 0x87, modrm) if memory(modrm) => Kind::Locked,
        _ => Kind::Plain,
    };
    let string = matches!(opcode, 0xA4..=0xA7 | 0xAA..=0xAF | 0x6C..=0x6F);
    Instruction { kind, repeats: repeat && string, is_breakpoint: opcode == INT3 && !lock }
}

/// `or` of an immediate, or of a register that is zero, with memory at the stack pointer.
fn is_or_nothing_on_the_stack(opcode: u8, modrm: u8, sib: u8) -> bool {
    let or = matches!((opcode, modrm >> 3 & 7), (0x80 | 0x81 | 0x83, 1) | (0x08 | 0x09, _));
    let has_sib = modrm < 0xC0 && modrm & 7 == 4;
    or && has_sib && sib & 7 == 4
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(bytes: &[u8]) -> Instruction {
        let mut padded = [0x90; 16];
        padded[..bytes.len()].copy_from_slice(bytes);
        decode(&padded)
    }

    #[test]
    fn what_locks_what_fences_and_what_calls_the_kernel() {
        let table: [(&[u8], Kind, &str); 24] = [
            (&[0xF0, 0x48, 0x0F, 0xC1, 0x07], Kind::Locked, "lock xadd [rdi], rax"),
            (&[0xF0, 0x48, 0x0F, 0xB1, 0x0F], Kind::Locked, "lock cmpxchg [rdi], rcx"),
            (&[0xF0, 0x48, 0xFF, 0x07], Kind::Locked, "lock inc qword [rdi]"),
            (&[0x3E, 0xF0, 0xFF, 0x07], Kind::Locked, "ds lock inc dword [rdi]"),
            (&[0xF0, 0x83, 0x0F, 0x01], Kind::Locked, "lock or dword [rdi], 1"),
            (&[0xF0, 0x83, 0x4C, 0x87, 0x04, 0x01], Kind::Locked, "lock or dword [rdi+rax*4+4], 1"),
            (&[0x87, 0x07], Kind::Locked, "xchg [rdi], eax"),
            (&[0x48, 0x87, 0x44, 0x24, 0x08], Kind::Locked, "xchg [rsp+8], rax"),
            (&[0x86, 0x07], Kind::Locked, "xchg [rdi], al"),
            (&[0x48, 0x87, 0xC1], Kind::Plain, "xchg rcx, rax"),
            (&[0x90], Kind::Plain, "nop"),
            (&[0xF3, 0x90], Kind::Plain, "pause"),
            (&[0x48, 0x0F, 0xC1, 0x07], Kind::Plain, "xadd [rdi], rax"),
            (&[0x0F, 0xAE, 0xF0], Kind::Fence, "mfence"),
            (&[0x0F, 0xAE, 0xE8], Kind::Fence, "lfence"),
            (&[0x0F, 0xAE, 0xF8], Kind::Fence, "sfence"),
            (&[0x0F, 0xAE, 0x07], Kind::Plain, "fxsave [rdi]"),
            (&[0x0F, 0xAE, 0x2C, 0x24], Kind::Plain, "xrstor [rsp]"),
            (&[0xF0, 0x83, 0x0C, 0x24, 0x00], Kind::Fence, "lock or dword [rsp], 0"),
            (&[0xF0, 0x83, 0x4C, 0x24, 0xC0, 0x00], Kind::Fence, "lock or dword [rsp-64], 0"),
            (&[0x0F, 0x05], Kind::Syscall, "syscall"),
            (&[0xCD, 0x80], Kind::Syscall, "int 80h"),
            (&[0xC5, 0xF8, 0x77], Kind::Plain, "vzeroupper"),
            (&[0x64, 0x48, 0x8B, 0x04, 0x25, 0, 0, 0, 0], Kind::Plain, "mov rax, fs:[0]"),
        ];
        for (bytes, kind, text) in table {
            assert_eq!(decoded(bytes).kind, kind, "{text}");
        }
    }

    #[test]
    fn what_stops_at_one_place_more_than_once() {
        assert!(decoded(&[0xF3, 0xA4]).repeats, "rep movsb");
        assert!(decoded(&[0xF3, 0x48, 0xAB]).repeats, "rep stosq");
        assert!(!decoded(&[0xA4]).repeats, "movsb");
        assert!(!decoded(&[0xF3, 0x90]).repeats, "pause");
    }

    #[test]
    fn where_a_region_ends() {
        assert!(decoded(&[INT3]).is_breakpoint);
        assert!(!decoded(&[0x90, INT3]).is_breakpoint);
    }
}
