"""Judges requests to EKS and its answers by botocore's own model of the service, without a line of Holdpoint.

Reads exchanges from stdin, one JSON document; writes what is wrong with each, and the operations that were judged.
"""

import json
import re
import sys
from urllib.parse import parse_qs, unquote, urlsplit

import botocore.parsers
import botocore.session

MODEL = botocore.session.get_session().get_service_model("eks")
TYPES = {"string": str, "integer": int, "long": int, "boolean": bool, "structure": dict, "map": dict, "list": list}


def operation_of(method, path):
    for name in MODEL.operation_names:
        operation = MODEL.operation_model(name)
        uri = operation.http["requestUri"].split("?")[0]
        pattern = re.sub(r"\\\{(\w+)\\?\+?\\\}", r"(?P<\1>[^/]+)", re.escape(uri))
        found = re.fullmatch(pattern, path)
        if operation.http["method"] == method and found:
            return operation, found.groupdict()
    return None, {}


def judge(value, shape, where):
    """Names and types of a value that stands in a body."""
    if value is None:
        return []
    kind = shape.type_name
    if kind == "timestamp":
        return [] if isinstance(value, (int, float)) and not isinstance(value, bool) else [f"{where} is no timestamp: {value!r}"]
    if kind in ("double", "float"):
        return [] if isinstance(value, (int, float)) else [f"{where} is no number: {value!r}"]
    wanted = TYPES.get(kind)
    if wanted is None:
        return [f"{where} has the type {kind}, which is not judged"]
    if not isinstance(value, wanted) or (wanted is int and isinstance(value, bool)):
        return [f"{where} is no {kind}: {value!r}"]
    if kind == "structure":
        wrong = [f"{where} lacks {name}" for name in shape.required_members if name not in value and in_body(shape.members[name])]
        for name, member in value.items():
            known = {own.serialization.get("name", key): own for key, own in shape.members.items()}
            wrong += judge(member, known[name], f"{where}.{name}") if name in known else [f"{where}.{name} is no member"]
        return wrong
    if kind == "list":
        return [one for place, member in enumerate(value) for one in judge(member, shape.member, f"{where}[{place}]")]
    if kind == "map":
        return [one for key, member in value.items() for one in judge(member, shape.value, f"{where}.{key}")]
    enum = getattr(shape, "enum", [])
    return [f"{where} is none of {enum}: {value!r}"] if enum and value not in enum else []


def in_body(shape):
    return shape.serialization.get("location") is None


def judge_request(operation, uri, query, body):
    shape = operation.input_shape
    by_place = {}
    for name, member in shape.members.items():
        by_place.setdefault(member.serialization.get("location", "body"), {})[member.serialization.get("name", name)] = member
    wrong = [f"the query has {name}, which is no parameter" for name in query if name not in by_place.get("querystring", {})]
    wrong += [f"the path lacks {name}" for name in by_place.get("uri", {}) if not uri.get(name)]
    if body == "":
        missing = [name for name in shape.required_members if name in by_place.get("body", {})]
        return wrong + [f"the body lacks {name}" for name in missing]
    sent = json.loads(body)
    known = by_place.get("body", {})
    for name, value in sent.items():
        wrong += judge(value, known[name], name) if name in known else [f"the body has {name}, which is no member"]
    return wrong + [f"the body lacks {name}" for name in shape.required_members if name in known and name not in sent]


def judge_answer(operation, exchange):
    response = {"status_code": exchange["status"], "headers": exchange["headers"], "body": exchange["answer"].encode()}
    parser = botocore.parsers.create_parser("rest-json")
    if exchange["status"] >= 300:
        code = parser.parse(response, operation.output_shape)["Error"]["Code"]
        # These two come from every service, and are in the model of few operations.
        known = {shape.name for shape in operation.error_shapes} | {"ThrottlingException", "AccessDeniedException"}
        return [] if code in known else [f"{code} is none of the errors {sorted(known)}"]
    try:
        parser.parse(response, operation.output_shape)
    except ValueError as problem:
        return [f"botocore cannot read the answer: {problem}"]
    return judge(json.loads(exchange["answer"]), operation.output_shape, "answer")


def main():
    wrong, operations = [], set()
    for exchange in json.load(sys.stdin):
        parts = urlsplit(exchange["path"])
        operation, uri = operation_of(exchange["method"], parts.path)
        if operation is None:
            wrong.append(f"{exchange['method']} {exchange['path']} is no operation of EKS")
            continue
        operations.add(operation.name)
        uri = {name: unquote(value) for name, value in uri.items()}
        found = judge_request(operation, uri, parse_qs(parts.query), exchange["body"]) + judge_answer(operation, exchange)
        wrong += [f"{operation.name}: {one}" for one in found]
    print(json.dumps({"wrong": sorted(set(wrong)), "operations": sorted(operations)}))


main()
