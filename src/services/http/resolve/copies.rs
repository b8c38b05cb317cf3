//! Copies of other sites: `wget -m` names a file after its URL, including the query.

use std::{borrow::Cow, rc::Rc};

use percent_encoding::{percent_decode, percent_encode_byte};

use super::Resolver;
use crate::{
    clock::Clock,
    http::{Refusal, Request},
    services::http::representation::StaticFile,
    site_path::SitePath,
};

impl Resolver {
    /// Returns the file whose name is the last name in `path`, a question mark and the query of the
    /// request, with its own path. For a directory, the name begins with that of the index file.
    /// Nothing else was found at `path`, so this costs requests for missing paths one look-up if
    /// they have a query.
    ///
    /// # Errors
    /// Returns the refusal if there may be such a file, but it cannot be read.
    pub(super) fn copied_page(
        &self,
        path: &SitePath<'_>,
        request: &Request<'_>,
        clock: &Clock,
    ) -> Result<Option<(SitePath<'static>, Rc<StaticFile>)>, Refusal> {
        let Some(query) = request.query().filter(|query| !query.is_empty()) else { return Ok(None) };
        let index = if path.is_directory() { &*self.site.options().index } else { "" };
        let mut name = [b"/", path.bytes(), index.as_bytes(), b"?"].concat();
        for byte in percent_decode(query) {
            // wget decodes the query, but encodes what it does not want in a name.
            match byte {
                b'/' => name.extend_from_slice(b"%2F"),
                byte if byte.is_ascii_control() => {
                    name.extend_from_slice(percent_encode_byte(byte).as_bytes())
                }
                byte => name.push(byte),
            }
        }
        let Some(copy) = SitePath::parse(Cow::Owned(name)).filter(|copy| self.is_visible(copy)) else {
            return Ok(None);
        };
        Ok(self.file_at(&copy, clock)?.map(|file| (copy, file)))
    }
}
