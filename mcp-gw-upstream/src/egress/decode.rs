//! Bodies that come compressed though nobody asked for it (C-17).

use std::io;

use bytes::{Buf as _, Bytes};
use flate2::write::{DeflateDecoder, MultiGzDecoder, ZlibDecoder};
use http::header::{CONTENT_ENCODING, HeaderMap};

/// So much is decompressed at once: no more than 264 KiB come out of it.
const STEP: usize = 256;
/// So many times longer than what came a body may become...
const RATIO: u64 = 200;
/// ...beyond this much.
const ALLOWANCE: u64 = 64 * 1024;

/// Makes plain bytes of a body.
pub(crate) struct Decoder {
    kind: Kind,
    taken: u64,
    given: u64,
}

enum Kind {
    Plain,
    Gzip(Box<MultiGzDecoder<Vec<u8>>>),
    /// Nobody asked for it, and it does no harm where there is no body.
    Unknown,
    /// Not begun: there are two formats of this name (RFC 9110 §8.4.1.2).
    Deflate,
    Zlib(Box<ZlibDecoder<Vec<u8>>>),
    Raw(Box<DeflateDecoder<Vec<u8>>>),
}

/// Why a body cannot be decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    /// An encoding that is not known, or several.
    Unknown,
    /// It is not what it says.
    Broken,
    /// It becomes far too long.
    Bomb,
}

impl Decoder {
    /// For the encoding that a response says it has.
    pub(crate) fn new(headers: &HeaderMap) -> Self {
        let mut said = headers.get_all(CONTENT_ENCODING).iter();
        let kind = match (said.next(), said.next()) {
            (None, _) => Kind::Plain,
            (Some(_), Some(_)) => Kind::Unknown,
            (Some(one), None) => match &*one.as_bytes().to_ascii_lowercase() {
                b"" | b"identity" => Kind::Plain,
                b"gzip" | b"x-gzip" => Kind::Gzip(Box::new(MultiGzDecoder::new(Vec::new()))),
                b"deflate" => Kind::Deflate,
                _ => Kind::Unknown,
            },
        };
        Self {
            kind,
            taken: 0,
            given: 0,
        }
    }

    /// True when the headers of the response are true of what comes out.
    pub(crate) const fn is_plain(&self) -> bool {
        matches!(self.kind, Kind::Plain | Kind::Unknown)
    }

    /// Takes some of `input`, and gives what becomes of it.
    pub(crate) fn take(&mut self, input: &mut Bytes) -> Result<Bytes, Fault> {
        match self.kind {
            Kind::Plain => return Ok(std::mem::take(input)),
            Kind::Unknown => return Err(Fault::Unknown),
            _ => {}
        }
        let piece = input.copy_to_bytes(input.len().min(STEP));
        if let (Kind::Deflate, Some(first)) = (&self.kind, piece.first()) {
            self.kind = match first & 0x0f {
                8 => Kind::Zlib(Box::new(ZlibDecoder::new(Vec::new()))),
                _ => Kind::Raw(Box::new(DeflateDecoder::new(Vec::new()))),
            };
        }
        self.taken += piece.len() as u64;
        let written = match &mut self.kind {
            Kind::Plain | Kind::Unknown | Kind::Deflate => return Ok(piece),
            Kind::Gzip(decoder) => write(&mut **decoder, &piece, MultiGzDecoder::get_mut),
            Kind::Zlib(decoder) => write(&mut **decoder, &piece, ZlibDecoder::get_mut),
            Kind::Raw(decoder) => write(&mut **decoder, &piece, DeflateDecoder::get_mut),
        };
        self.judge(written)
    }

    /// The rest, when all of the body is there.
    pub(crate) fn finish(&mut self) -> Result<Bytes, Fault> {
        if self.taken == 0 {
            return Ok(Bytes::new());
        }
        let written = match &mut self.kind {
            Kind::Plain | Kind::Unknown | Kind::Deflate => return Ok(Bytes::new()),
            Kind::Gzip(decoder) => decoder
                .try_finish()
                .map(|()| std::mem::take(decoder.get_mut())),
            Kind::Zlib(decoder) => decoder
                .try_finish()
                .map(|()| std::mem::take(decoder.get_mut())),
            Kind::Raw(decoder) => decoder
                .try_finish()
                .map(|()| std::mem::take(decoder.get_mut())),
        };
        self.judge(written)
    }

    fn judge(&mut self, written: io::Result<Vec<u8>>) -> Result<Bytes, Fault> {
        let out = written.map_err(|_| Fault::Broken)?;
        self.given += out.len() as u64;
        if self.given > self.taken * RATIO + ALLOWANCE {
            return Err(Fault::Bomb);
        }
        Ok(out.into())
    }
}

fn write<W: io::Write>(
    decoder: &mut W,
    piece: &[u8],
    out: impl FnOnce(&mut W) -> &mut Vec<u8>,
) -> io::Result<Vec<u8>> {
    decoder.write_all(piece)?;
    decoder.flush()?;
    Ok(std::mem::take(out(decoder)))
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use flate2::Compression;
    use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
    use http::HeaderValue;

    use super::*;

    fn decoder(encoding: &str) -> Decoder {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_ENCODING, HeaderValue::from_str(encoding).unwrap());
        Decoder::new(&headers)
    }

    fn decoded(encoding: &str, body: &[u8], piece: usize) -> Result<Vec<u8>, Fault> {
        let mut decoder = decoder(encoding);
        let mut out = Vec::new();
        for piece in body.chunks(piece) {
            let mut piece = Bytes::copy_from_slice(piece);
            while !piece.is_empty() {
                out.extend_from_slice(&decoder.take(&mut piece)?);
            }
        }
        out.extend_from_slice(&decoder.finish()?);
        Ok(out)
    }

    fn gzip(plain: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(plain).unwrap();
        encoder.finish().unwrap()
    }

    fn text() -> Vec<u8> {
        (0..20_000_u32)
            .flat_map(|n| format!("{n} ").into_bytes())
            .collect()
    }

    #[test]
    fn what_is_compressed_comes_out_as_it_went_in() {
        let text = text();
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::fast());
        zlib.write_all(&text).unwrap();
        let zlib = zlib.finish().unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::fast());
        raw.write_all(&text).unwrap();
        let raw = raw.finish().unwrap();
        let both = [gzip(b"one "), gzip(b"two")].concat();
        for piece in [1, 100, 1_000_000] {
            assert!(decoded("gzip", &gzip(&text), piece).as_ref() == Ok(&text));
            assert!(decoded("X-GZIP", &gzip(&text), piece).as_ref() == Ok(&text));
            assert!(decoded("deflate", &zlib, piece).as_ref() == Ok(&text));
            assert!(decoded("deflate", &raw, piece).as_ref() == Ok(&text));
            assert!(decoded("identity", &text, piece).as_ref() == Ok(&text));
            assert_eq!(decoded("gzip", &both, piece).unwrap(), b"one two");
        }
        for encoding in ["gzip", "deflate", "br", ""] {
            assert_eq!(decoded(encoding, b"", 1).unwrap(), b"");
        }
    }

    #[test]
    fn what_lies_about_its_encoding_is_told_of() {
        let text = text();
        for encoding in ["br", "zstd", "gzip, gzip", "gzip,identity", "x"] {
            assert!(decoded(encoding, &text, 100).is_err(), "{encoding}");
        }
        assert_eq!(decoded("gzip", &text, 100), Err(Fault::Broken));
        assert_eq!(decoded("deflate", &text, 100), Err(Fault::Broken));
        let whole = gzip(&text);
        let cut = &whole[..whole.len() / 2];
        assert_eq!(decoded("gzip", cut, 100), Err(Fault::Broken));
        let mut damaged = whole.clone();
        let last = damaged.len() - 6;
        damaged[last] ^= 1;
        assert_eq!(decoded("gzip", &damaged, 100), Err(Fault::Broken));
    }

    #[test]
    fn a_bomb_is_found_before_it_has_taken_memory() {
        let bomb = gzip(&vec![0; 50 << 20]);
        let mut decoder = decoder("gzip");
        let mut input = Bytes::from(bomb);
        let mut most = 0;
        let fault = loop {
            match decoder.take(&mut input) {
                Ok(out) => most += out.len(),
                Err(fault) => break fault,
            }
        };
        assert_eq!(fault, Fault::Bomb);
        assert!(most < 1 << 20, "{most} bytes came out first");
    }
}
