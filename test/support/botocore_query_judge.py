"""Judges requests to a service of the Query protocol and its answers by botocore's own model of it, without a line of Holdpoint.

The service (`rds`, `autoscaling`) is the first argument. Reads exchanges from stdin, one JSON document. Each request is taken apart by the model, and made once more by the client of botocore
(which is boto3's): both forms must be the same. The client is then given the answer that the sandbox gave, and must read it.
Writes what is wrong with each, and the operations that were judged.
"""

import json
import re
import sys
import xml.etree.ElementTree as ElementTree
from urllib.parse import parse_qsl

import botocore.awsrequest
import botocore.config
import botocore.exceptions
import botocore.session

SESSION = botocore.session.get_session()
SERVICE = sys.argv[1]
MODEL = SESSION.get_service_model(SERVICE)
EVENT = f"before-send.{MODEL.service_id.hyphenize()}"
# These come from every service of the Query protocol, and are in the model of no operation.
COMMON_ERRORS = {
    "Throttling", "InternalFailure", "InvalidAction", "InvalidParameterCombination", "InvalidParameterValue", "MissingParameter",
    "ValidationError",
}


def client():
    SESSION.set_credentials("AKIDEXAMPLE", "example")
    config = botocore.config.Config(retries={"max_attempts": 1, "mode": "standard"})
    return SESSION.create_client(SERVICE, region_name="eu-central-1", endpoint_url="http://127.0.0.1:9", config=config)


def scalar(text, shape, where, wrong):
    kind = shape.type_name
    if kind == "boolean":
        if text not in ("true", "false"):
            wrong.append(f"{where} is no boolean: {text!r}")
        return text == "true"
    if kind in ("integer", "long"):
        if not re.fullmatch(r"-?\d+", text):
            wrong.append(f"{where} is no {kind}: {text!r}")
            return 0
        return int(text)
    if kind in ("double", "float"):
        return float(text)
    enum = getattr(shape, "enum", [])
    if enum and text not in enum:
        wrong.append(f"{where} is none of {enum}: {text!r}")
    return text


def members_by_place(shape):
    return {member.serialization.get("name", name): (name, member) for name, member in shape.members.items()}


def from_form(fields, shape, where, wrong):
    """The value that fields (their names without what stands for `shape`) are the form of."""
    if shape.type_name == "structure":
        value = {}
        groups = {}
        for field, text in fields.items():
            head, _, rest = field.partition(".")
            groups.setdefault(head, {})[rest] = text
        known = members_by_place(shape)
        for head, inner in groups.items():
            if head not in known:
                wrong.append(f"{where}{head} is no parameter")
                continue
            name, member = known[head]
            value[name] = from_form(inner, member, f"{where}{head}.", wrong)
        wrong += [f"{where}{name} is missing" for name in shape.required_members if name not in value]
        return value
    if shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        groups = {}
        for field, text in fields.items():
            found = re.fullmatch(rf"{re.escape(item)}\.(\d+)(?:\.(.*))?", field)
            if found:
                groups.setdefault(int(found[1]), {})[found[2] or ""] = text
            else:
                wrong.append(f"{where}{field} is no item of a list")
        return [from_form(groups[place], shape.member, f"{where}{item}.{place}.", wrong) for place in sorted(groups)]
    return scalar(fields.get("", ""), shape, where.rstrip("."), wrong)


def judge_element(element, shape, where, wrong):
    children = [(child.tag.split("}")[-1], child) for child in element]
    if shape.type_name == "structure":
        known = members_by_place(shape)
        seen = set()
        for tag, child in children:
            if tag not in known:
                wrong.append(f"{where}.{tag} is no member")
            elif tag in seen:
                wrong.append(f"{where}.{tag} is there twice")
            else:
                judge_element(child, known[tag][1], f"{where}.{tag}", wrong)
            seen.add(tag)
    elif shape.type_name == "list":
        item = shape.member.serialization.get("name", "member")
        for tag, child in children:
            if tag != item:
                wrong.append(f"{where}.{tag} is no item: they are called {item}")
            else:
                judge_element(child, shape.member, f"{where}.{tag}", wrong)
    elif shape.type_name == "timestamp":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", element.text or ""):
            wrong.append(f"{where} is no timestamp: {element.text!r}")
    else:
        scalar(element.text or "", shape, where, wrong)


def judge_answer(operation, exchange, wrong):
    root = ElementTree.fromstring(exchange["answer"])
    if exchange["status"] >= 300 or operation.output_shape is None:
        return
    result = next((child for child in root if child.tag.endswith(f"{operation.name}Result")), None)
    if result is None:
        wrong.append(f"the answer lacks {operation.name}Result")
    else:
        judge_element(result, operation.output_shape, "answer", wrong)


def replay(client_of_service, operation, arguments, exchange, wrong):
    """Has botocore's client make the request, and read the answer that was given."""
    sent = {}

    def before_send(request, **_):
        body = request.body.decode() if isinstance(request.body, bytes) else request.body
        sent.update(parse_qsl(body, keep_blank_values=True))

        class Raw:
            def stream(self, **_):
                yield exchange["answer"].encode()

        return botocore.awsrequest.AWSResponse(request.url, exchange["status"], exchange["headers"], Raw())

    client_of_service.meta.events.register(EVENT, before_send, unique_id="replay")
    method = next(name for name, wanted in client_of_service.meta.method_to_api_mapping.items() if wanted == operation.name)
    try:
        getattr(client_of_service, method)(**arguments)
        if exchange["status"] >= 300:
            wrong.append(f"botocore takes the status {exchange['status']} for success")
    except botocore.exceptions.ClientError as refusal:
        code = refusal.response["Error"]["Code"]
        known = {shape.error_code or shape.name for shape in operation.error_shapes} | COMMON_ERRORS
        if code not in known:
            wrong.append(f"{code} is none of the errors {sorted(known)}")
    except (ValueError, botocore.exceptions.BotoCoreError) as problem:
        wrong.append(f"botocore: {problem}")
    finally:
        client_of_service.meta.events.unregister(EVENT, unique_id="replay")
    form = dict(parse_qsl(exchange["body"], keep_blank_values=True))
    if sent and sent != form:
        wrong.append(f"botocore sends {sorted(set(sent.items()) ^ set(form.items()))} otherwise")


def main():
    wrong, operations, judging = [], set(), client()
    for exchange in json.load(sys.stdin):
        form = dict(parse_qsl(exchange["body"], keep_blank_values=True))
        name = form.pop("Action", "")
        if form.pop("Version", None) != MODEL.api_version or name not in MODEL.operation_names:
            wrong.append(f"{name} is no operation of {SERVICE} {MODEL.api_version}")
            continue
        operation, found = MODEL.operation_model(name), []
        operations.add(name)
        arguments = from_form(form, operation.input_shape, "", found)
        judge_answer(operation, exchange, found)
        if not any("parameter" in one or "missing" in one for one in found):
            replay(judging, operation, arguments, exchange, found)
        wrong += [f"{name}: {one}" for one in found]
    print(json.dumps({"wrong": sorted(set(wrong)), "operations": sorted(operations)}))


main()
