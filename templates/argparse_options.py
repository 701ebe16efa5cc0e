"""Prints, as JSON, the options that a program declares with argparse. It reads the program, and runs nothing of it."""

import ast
import json
import sys


def literal(node, names):
    """The value that an expression stands for, if it can be told."""
    if isinstance(node, ast.Name) and node.id in names:
        node = names[node.id]
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) in ("list", "tuple", "sorted") and len(node.args) == 1:
        node = node.args[0]
    if isinstance(node, ast.Call) and getattr(node.func, "id", None) == "range":
        values = list(range(*(literal(arg, names) for arg in node.args))[:100])
    elif isinstance(node, ast.Call) and getattr(node.func, "attr", getattr(node.func, "id", "")) == "Path" and len(node.args) == 1:
        values = literal(node.args[0], names)
    else:
        values = ast.literal_eval(node)
    if isinstance(values, (set, frozenset)):
        values = sorted(values)
    json.dumps(values, allow_nan=False)
    return values


def option(call, names):
    found = {"flags": [arg.value for arg in call.args if isinstance(arg, ast.Constant) and isinstance(arg.value, str)]}
    for keyword in call.keywords:
        if keyword.arg in ("action", "type"):
            # `argparse.BooleanOptionalAction`, `int`, `pathlib.Path`
            node = keyword.value
            name = node.value if isinstance(node, ast.Constant) else getattr(node, "attr", getattr(node, "id", "?"))
            found[keyword.arg] = str(name)
        elif keyword.arg in ("default", "choices", "nargs", "required", "help", "dest"):
            try:
                found[keyword.arg] = literal(keyword.value, names)
            except Exception:
                found[keyword.arg + "_unknown"] = True
    return found


def main():
    tree = ast.parse(sys.stdin.buffer.read(), sys.argv[1])
    names = {
        target.id: node.value
        for node in tree.body
        if isinstance(node, ast.Assign)
        for target in node.targets
        if isinstance(target, ast.Name)
    }
    options, commands, defaults = [], [], {}
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    for call in sorted(calls, key=lambda call: (call.lineno, call.end_lineno, call.end_col_offset)):
        if call.func.attr == "add_argument":
            found = option(call, names)
            if found["flags"]:
                options.append(found)
        elif call.func.attr == "add_parser":
            commands += [arg.value for arg in call.args[:1] if isinstance(arg, ast.Constant)]
        elif call.func.attr == "set_defaults":
            for keyword in call.keywords:
                try:
                    defaults[keyword.arg] = literal(keyword.value, names)
                except Exception:
                    pass
    return {"options": options, "commands": commands, "defaults": defaults}


try:
    answer = main()
except SyntaxError as error:
    answer = {"error": f"{sys.argv[1]}:{error.lineno}:{error.offset}: {error.msg}"}
except Exception as error:
    answer = {"error": f"{type(error).__name__}: {error}"}
print(json.dumps(answer))
