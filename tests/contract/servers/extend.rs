//! A stand-in for a PowerDNS that knows EXTEND and PRUNE: the real one of Debian, which does not, behind a translator. It follows
//! our own summary of PowerDNS's API page and has never been compared with a server that has them. One record in each; EXTEND
//! adds it unless it is there, PRUNE removes it if it is there; all else in the RRset stays; the PATCH is carried out whole or not
//! at all. So what passes here is our use of them as we understand them, not PowerDNS's own doing.

use std::io::Write as _;
use std::net::TcpStream;

use serde_json::{Value as Json, json};

use crate::relay::{Translation, http_message};

/// Of the same length as the server's own, so that the answer keeps its length.
const VERSION: (&str, &str) = ("\"version\": \"4.7.3\"", "\"version\": \"5.0.2\"");

pub const EXTENDING: Translation = Translation { request, answer };

fn answer(answer: Vec<u8>) -> Vec<u8> {
    match String::from_utf8(answer) {
        Ok(text) => text.replace(VERSION.0, VERSION.1).into_bytes(),
        Err(error) => error.into_bytes(),
    }
}

fn request(request: Vec<u8>, server: u16) -> Vec<u8> {
    if !request.starts_with(b"PATCH ") {
        return request;
    }
    let text = String::from_utf8(request).unwrap();
    let (head, body) = text.split_once("\r\n\r\n").unwrap();
    let mut body: Json = serde_json::from_str(body).unwrap();
    let asked = std::mem::take(body["rrsets"].as_array_mut().unwrap());
    let (single, mut whole): (Vec<Json>, Vec<Json>) = asked
        .into_iter()
        .partition(|rrset| ["EXTEND", "PRUNE"].map(Json::from).contains(&rrset["changetype"]));
    let mut changed: Vec<Json> = Vec::new();
    for one in single {
        let same = |rrset: &Json| rrset["name"] == one["name"] && rrset["type"] == one["type"];
        if !changed.iter().any(same) {
            let zone = zone(head, server);
            let found = zone["rrsets"]
                .as_array()
                .unwrap()
                .iter()
                .find(|rrset| same(rrset));
            let empty = json!({"name": one["name"], "type": one["type"], "ttl": one["ttl"], "records": []});
            changed.push(found.cloned().unwrap_or(empty));
        }
        let rrset = changed.iter_mut().find(|rrset| same(rrset)).unwrap();
        let [record] = one["records"].as_array().unwrap().as_slice() else {
            panic!("exactly one record: {one}")
        };
        let records = rrset["records"].as_array_mut().unwrap();
        let there = records.iter().position(|r| r["content"] == record["content"]);
        match (one["changetype"].as_str().unwrap(), there) {
            ("EXTEND", None) => records.push(record.clone()),
            ("PRUNE", Some(at)) => drop(records.remove(at)),
            ("EXTEND", Some(_)) | ("PRUNE", None) => {}
            _ => unreachable!(),
        }
        rrset["changetype"] = "REPLACE".into();
        // Comments that are not named stay.
        rrset.as_object_mut().unwrap().remove("comments");
    }
    whole.extend(changed);
    let body = json!({ "rrsets": whole }).to_string();
    let lines = head
        .lines()
        .filter(|line| !line.to_ascii_lowercase().starts_with("content-length:"));
    let head: Vec<&str> = lines.collect();
    format!(
        "{}\r\nContent-Length: {}\r\n\r\n{body}",
        head.join("\r\n"),
        body.len()
    )
    .into_bytes()
}

/// The zone as the server has it, asked with the client's own key.
fn zone(head: &str, server: u16) -> Json {
    let path = head.split(' ').nth(1).unwrap();
    let key = head
        .lines()
        .find(|line| line.to_ascii_lowercase().starts_with("x-api-key:"))
        .unwrap();
    let mut stream = TcpStream::connect(("127.0.0.1", server)).unwrap();
    let question = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\n{key}\r\nConnection: close\r\n\r\n");
    stream.write_all(question.as_bytes()).unwrap();
    let answer = String::from_utf8(http_message(&mut stream).unwrap()).unwrap();
    serde_json::from_str(answer.split_once("\r\n\r\n").unwrap().1).unwrap()
}
