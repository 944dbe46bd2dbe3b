//! Code with holes: text for what a macro adds, tokens for what the user wrote.

use proc_macro::{Group, Span, TokenStream, TokenTree};

/// Parses `source` and puts tokens in the place of identifiers: `holes` has the identifiers' names.
///
/// The text's own names are the macro's: its variables and those of the user do not meet.
pub(crate) fn fill(source: &str, holes: &[(&str, TokenStream)]) -> TokenStream {
    let parsed: TokenStream = match source.parse() {
        Ok(parsed) => parsed,
        Err(error) => unreachable!("a template does not parse: {error}: {source}"),
    };
    replace(parsed, holes)
}

fn replace(stream: TokenStream, holes: &[(&str, TokenStream)]) -> TokenStream {
    let mut output = TokenStream::new();
    for mut token in stream {
        if let TokenTree::Ident(ident) = &token {
            let name = ident.to_string();
            if let Some((_, tokens)) = holes.iter().find(|(hole, _)| *hole == name) {
                output.extend(tokens.clone());
                continue;
            }
        }
        if let TokenTree::Group(group) = &token {
            let mut filled = Group::new(group.delimiter(), replace(group.stream(), holes));
            filled.set_span(Span::mixed_site());
            token = filled.into();
        }
        token.set_span(Span::mixed_site());
        output.extend([token]);
    }
    output
}
