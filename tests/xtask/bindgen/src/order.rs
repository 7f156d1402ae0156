//! Putting a module's functions in the order of their names, and dropping the names.
//!
//! A Rust program holds each generic function once for every type it is used with, and those copies differ in little. What
//! compresses a download looks back 32 KB: copies that lie side by side shrink to almost nothing, and a module of two
//! megabytes gets a tenth smaller. wasm-bindgen leaves functions in the order of their sizes.

use anyhow::{Context as _, Result};
use std::collections::BTreeMap;
use std::convert::Infallible;
use wasm_encoder::reencode::{Error, Reencode, utils};
use wasm_encoder::{CodeSection, FunctionSection, Module};
use wasmparser::{
    CodeSectionReader, CustomSectionReader, FunctionBody, FunctionSectionReader, KnownCustom, Name, Parser, Payload, TypeRef,
};

/// The same module with its functions in the order of their names, without names. One without names keeps its order.
pub(crate) fn by_name(module: &[u8]) -> Result<Vec<u8>> {
    let mut order = Order::of(module)?;
    let mut ordered = Module::new();
    utils::parse_core_module(&mut order, &mut ordered, Parser::new(0), module).context("the module cannot be written anew")?;
    Ok(ordered.finish())
}

/// Which function goes where.
struct Order {
    /// Functions that are imported: they come first, and stay.
    imported: u32,
    /// For each place, the function that goes there; both counted without the imported.
    sources: Vec<u32>,
    /// For each function, its place.
    places: Vec<u32>,
}

impl Order {
    fn of(module: &[u8]) -> Result<Self> {
        let (mut imported, mut count) = (0, 0);
        let mut names = BTreeMap::new();
        for payload in Parser::new(0).parse_all(module) {
            match payload? {
                Payload::ImportSection(imports) => {
                    for import in imports {
                        imported += u32::from(matches!(import?.ty, TypeRef::Func(_)));
                    }
                }
                Payload::FunctionSection(functions) => count = functions.count(),
                Payload::CustomSection(section) => {
                    let KnownCustom::Name(sections) = section.as_known() else { continue };
                    for section in sections {
                        if let Name::Function(functions) = section? {
                            for function in functions {
                                let function = function?;
                                names.insert(function.index, function.name);
                            }
                        }
                    }
                }
                _ => {}
            }
        }
        let mut sources: Vec<u32> = (0..count).collect();
        sources.sort_by_key(|source| (names.get(&(imported + source)).copied().unwrap_or_default(), *source));
        let mut places = vec![0; sources.len()];
        for (place, source) in (0..).zip(&sources) {
            places[*source as usize] = place;
        }
        Ok(Self { imported, sources, places })
    }

    /// The items of a section that has one for each function, in the new order.
    fn sorted<T: Clone>(&self, items: &[T]) -> Vec<T> {
        self.sources.iter().filter_map(|source| items.get(*source as usize).cloned()).collect()
    }
}

impl Reencode for Order {
    type Error = Infallible;

    fn function_index(&mut self, function: u32) -> Result<u32, Error> {
        let own = function.checked_sub(self.imported).and_then(|own| self.places.get(own as usize));
        Ok(own.map_or(function, |place| self.imported + place))
    }

    fn parse_function_section(
        &mut self,
        functions: &mut FunctionSection,
        section: FunctionSectionReader<'_>,
    ) -> Result<(), Error> {
        let types: Vec<u32> = section.into_iter().collect::<Result<_, _>>()?;
        for of_type in self.sorted(&types) {
            functions.function(of_type);
        }
        Ok(())
    }

    fn parse_code_section(&mut self, code: &mut CodeSection, section: CodeSectionReader<'_>) -> Result<(), Error> {
        let bodies: Vec<FunctionBody<'_>> = section.into_iter().collect::<Result<_, _>>()?;
        for body in self.sorted(&bodies) {
            utils::parse_function_body(self, code, body)?;
        }
        Ok(())
    }

    fn parse_custom_section(&mut self, module: &mut Module, section: CustomSectionReader<'_>) -> Result<(), Error> {
        if section.name() == "name" { Ok(()) } else { utils::parse_custom_section(self, module, section) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use wasm_encoder::{
        ConstExpr, ElementSection, Elements, EntityType, ExportKind, ExportSection, Function, ImportSection, NameMap,
        NameSection, RefType, TableSection, TableType, TypeSection, ValType,
    };

    /// A module of an imported function and three own, `c`, `a` and `b`, which answer 3, 1 and the sum of the others.
    fn module() -> Vec<u8> {
        let mut types = TypeSection::new();
        types.ty().function([], [ValType::I32]);
        let mut imports = ImportSection::new();
        imports.import("out", "side", EntityType::Function(0));
        let (mut functions, mut code) = (FunctionSection::new(), CodeSection::new());
        let mut add = |body: &[u8]| {
            functions.function(0);
            let mut function = Function::new([]);
            function.raw(body.iter().copied());
            code.function(&function);
        };
        add(b"\x41\x03\x0b"); // i32.const 3
        add(b"\x41\x01\x0b"); // i32.const 1
        add(b"\x10\x01\x10\x02\x6a\x0b"); // call 1, call 2, i32.add
        let mut tables = TableSection::new();
        let element_type = RefType::FUNCREF;
        tables.table(TableType { element_type, table64: false, minimum: 3, maximum: None, shared: false });
        let mut exports = ExportSection::new();
        exports.export("c", ExportKind::Func, 1);
        let mut elements = ElementSection::new();
        elements.active(None, &ConstExpr::i32_const(0), Elements::Functions([1, 2, 3][..].into()));
        let mut names = NameSection::new();
        let mut of_functions = NameMap::new();
        [(0, "side"), (1, "c"), (2, "a"), (3, "b")].iter().for_each(|(index, name)| of_functions.append(*index, name));
        names.functions(&of_functions);
        let mut module = Module::new();
        module.section(&types).section(&imports).section(&functions).section(&tables).section(&exports);
        module.section(&elements).section(&code).section(&names);
        module.finish()
    }

    /// Each function's body, and which functions are called in it, exported, or in the table.
    fn shape(module: &[u8]) -> (Vec<Vec<u8>>, Vec<u32>, bool) {
        let (mut bodies, mut named, mut has_names) = (Vec::new(), Vec::new(), false);
        for payload in Parser::new(0).parse_all(module) {
            match payload.unwrap() {
                Payload::CodeSectionEntry(body) => bodies.push(body.as_bytes().to_vec()),
                Payload::ExportSection(exports) => named.extend(exports.into_iter().map(|export| export.unwrap().index)),
                Payload::ElementSection(elements) => {
                    for element in elements {
                        let wasmparser::ElementItems::Functions(functions) = element.unwrap().items else { continue };
                        named.extend(functions.into_iter().map(Result::unwrap));
                    }
                }
                Payload::CustomSection(section) => has_names |= section.name() == "name",
                _ => {}
            }
        }
        (bodies, named, has_names)
    }

    /// `a`, `b`, `c` come in that order, and whoever called, exported or listed one of them finds it where it is now.
    #[test]
    fn functions_move_and_everyone_who_means_them_follows() {
        let ordered = by_name(&module()).unwrap();
        let (bodies, named, has_names) = shape(&ordered);
        let (one, sum, three) = (b"\0\x41\x01\x0b".to_vec(), b"\0\x10\x03\x10\x01\x6a\x0b".to_vec(), b"\0\x41\x03\x0b".to_vec());
        assert_eq!(bodies, [one, sum, three]);
        assert_eq!(named, [3, 3, 1, 2], "the export is c; the table holds c, a and b");
        assert!(!has_names);
    }

    #[test]
    fn a_module_without_names_stays_in_its_order() {
        let ordered = by_name(&module()).unwrap();
        assert_eq!(by_name(&ordered).unwrap(), ordered);
    }
}
