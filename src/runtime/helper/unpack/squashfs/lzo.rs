//! LZO1X, decompression alone (Documentation/staging/lzo.rst of the kernel describes the stream).

/// Decodes a stream whose content has `most` bytes at most; `None` for one that is damaged.
pub(super) fn decompress(input: &[u8], most: usize) -> Option<Vec<u8>> {
    let mut stream = Stream { input, at: 0, out: Vec::with_capacity(most), most };
    // How many bytes the last instruction has copied as they are: 4 stands for four and more.
    let mut state = 0;
    let first = *input.first()?;
    if first >= 18 {
        stream.at = 1;
        let count = usize::from(first) - 17;
        stream.literal(count)?;
        state = count.min(4);
    }
    loop {
        let code = usize::from(stream.byte()?);
        let (distance, length) = match code {
            0..=15 if state == 0 => {
                let count = if code == 0 { stream.long(15)? + 3 } else { code + 3 };
                stream.literal(count)?;
                state = 4;
                continue;
            }
            0..=15 => {
                let more = usize::from(stream.byte()?) << 2;
                let (distance, length) = if state == 4 { (2049, 3) } else { (1, 2) };
                ((code >> 2) + more + distance, length)
            }
            16..=31 => {
                let length = if code & 7 == 0 { stream.long(7)? + 2 } else { (code & 7) + 2 };
                let near = stream.word()?;
                let distance = 16384 + ((code & 8) << 11) + (near >> 2);
                if distance == 16384 {
                    return (stream.at == input.len() && length == 3).then_some(stream.out);
                }
                state = near & 3;
                stream.copy(distance, length)?;
                stream.literal(state)?;
                continue;
            }
            32..=63 => {
                let length = if code & 31 == 0 { stream.long(31)? + 2 } else { (code & 31) + 2 };
                let near = stream.word()?;
                state = near & 3;
                stream.copy((near >> 2) + 1, length)?;
                stream.literal(state)?;
                continue;
            }
            _ => {
                let length = if code < 128 { 3 + (code >> 5 & 1) } else { 5 + (code >> 5 & 3) };
                ((usize::from(stream.byte()?) << 3) + (code >> 2 & 7) + 1, length)
            }
        };
        state = code & 3;
        stream.copy(distance, length)?;
        stream.literal(state)?;
    }
}

struct Stream<'a> {
    input: &'a [u8],
    at: usize,
    out: Vec<u8>,
    most: usize,
}

impl Stream<'_> {
    fn byte(&mut self) -> Option<u8> {
        self.at += 1;
        self.input.get(self.at - 1).copied()
    }

    fn word(&mut self) -> Option<usize> {
        Some(usize::from(self.byte()?) | usize::from(self.byte()?) << 8)
    }

    /// A length that didn't fit: 255 for each zero, and the byte that isn't one.
    fn long(&mut self, base: usize) -> Option<usize> {
        let mut length = base;
        loop {
            match self.byte()? {
                0 => length += 255,
                byte => return Some(length + usize::from(byte)),
            }
        }
    }

    fn literal(&mut self, count: usize) -> Option<()> {
        let bytes = self.input.get(self.at..self.at.checked_add(count)?)?;
        self.at += count;
        self.out.extend_from_slice(bytes);
        (self.out.len() <= self.most).then_some(())
    }

    fn copy(&mut self, distance: usize, length: usize) -> Option<()> {
        let start = self.out.len().checked_sub(distance)?;
        if self.out.len() + length > self.most {
            return None;
        }
        // They may overlap: what is copied comes again.
        for at in start..start + length {
            self.out.push(self.out[at]);
        }
        Some(())
    }
}

#[cfg(test)]
mod tests {
    use super::decompress;

    #[test]
    fn damaged_streams_are_refused() {
        // "abc" and the end.
        assert_eq!(decompress(&[20, b'a', b'b', b'c', 17, 0, 0], 10).as_deref(), Some(&b"abc"[..]));
        assert_eq!(decompress(&[20, b'a', b'b', b'c', 17, 0, 0], 2), None);
        for wrong in [&[][..], &[17, 0], &[20, b'a'], &[20, b'a', b'b', b'c', 64, 255, 17, 0, 0], &[0, 0, 0]] {
            assert_eq!(decompress(wrong, 100), None, "{wrong:?}");
        }
    }
}
