"""Special tokens and the R1-0528 chat format, in Python and as a Jinja template."""

import json

BOS, EOS, PAD = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>", "<｜▁pad▁｜>"
THINK, END_THINK = "<think>", "</think>"
USER, ASSISTANT, EOT = "<｜User｜>", "<｜Assistant｜>", "<|EOT|>"
CALLS_BEGIN, CALLS_END = "<｜tool▁calls▁begin｜>", "<｜tool▁calls▁end｜>"
CALL_BEGIN, CALL_END = "<｜tool▁call▁begin｜>", "<｜tool▁call▁end｜>"
OUTPUTS_BEGIN, OUTPUTS_END = "<｜tool▁outputs▁begin｜>", "<｜tool▁outputs▁end｜>"
OUTPUT_BEGIN, OUTPUT_END = "<｜tool▁output▁begin｜>", "<｜tool▁output▁end｜>"
TOOL_SEP = "<｜tool▁sep｜>"

BASE_SPECIALS = [BOS, EOS, PAD]  # ids 0, 1, 2
# ids 1920.. in order; True marks a special token (dropped by skip_special_tokens)
ADDED = [
    (THINK, False),
    (END_THINK, False),
    ("<｜fim▁hole｜>", False),
    ("<｜fim▁begin｜>", False),
    ("<｜fim▁end｜>", False),
    (USER, False),
    (ASSISTANT, False),
    (EOT, True),
    (CALLS_BEGIN, False),
    (CALLS_END, False),
    (CALL_BEGIN, False),
    (CALL_END, False),
    (OUTPUTS_BEGIN, False),
    (OUTPUTS_END, False),
    (OUTPUT_BEGIN, False),
    (OUTPUT_END, False),
    (TOOL_SEP, False),
]
ADDED += [(f"<｜place▁holder▁no▁{i}｜>", True) for i in range(15)]


def call_text(name, arguments):
    return f"{CALL_BEGIN}function{TOOL_SEP}{name}\n```json\n{arguments}\n```{CALL_END}"


def calls_text(calls):
    """calls: list of (name, arguments as JSON text)."""
    return CALLS_BEGIN + "\n".join(call_text(n, a) for n, a in calls) + CALLS_END


def tool_calls(calls):
    """The same calls as chat-completion message entries."""
    return [{"type": "function", "function": {"name": n, "arguments": a}} for n, a in calls]


def visible(content):
    """History keeps only what follows the last </think>; leading newlines stay."""
    return content.split(END_THINK)[-1]


def render(messages, add_generation_prompt=True):
    out = BOS + "\n\n".join(m["content"] or "" for m in messages if m["role"] == "system")
    outputs_open = last_user = False
    for m in messages:
        content = m.get("content") or ""
        if m["role"] == "user":
            outputs_open, last_user = False, True
            out += USER + content + ASSISTANT
        elif m["role"] == "assistant":
            if outputs_open:
                out += OUTPUTS_END
            outputs_open = last_user = False
            out += visible(content)
            if m.get("tool_calls"):
                calls = []
                for c in m["tool_calls"]:
                    a = c["function"]["arguments"]
                    calls.append(
                        (
                            c["function"]["name"],
                            a if isinstance(a, str) else json.dumps(a, ensure_ascii=False),
                        )
                    )
                out += calls_text(calls)
            out += EOS
        elif m["role"] == "tool":
            out += "\n" if outputs_open else OUTPUTS_BEGIN
            outputs_open, last_user = True, False
            out += OUTPUT_BEGIN + content + OUTPUT_END
    if outputs_open:
        out += OUTPUTS_END
    elif add_generation_prompt and not last_user:
        out += ASSISTANT
    return out


_TEMPLATE_LINES = [
    "{%- if add_generation_prompt is not defined -%}"
    "{%- set add_generation_prompt = false -%}{%- endif -%}",
    "{%- set st = namespace(system='', any_system=false, outputs_open=false, last_user=false) -%}",
    "{%- for m in messages if m['role'] == 'system' -%}",
    "{%- set st.system = (st.system + '\\n\\n' if st.any_system else '') + (m['content'] or '') -%}",
    "{%- set st.any_system = true -%}",
    "{%- endfor -%}",
    "{{- bos_token + st.system -}}",
    "{%- for m in messages -%}",
    "{%- set content = m['content'] or '' -%}",
    "{%- if m['role'] == 'user' -%}",
    "{%- set st.outputs_open = false -%}{%- set st.last_user = true -%}",
    f"{{{{- '{USER}' + content + '{ASSISTANT}' -}}}}",
    "{%- elif m['role'] == 'assistant' -%}",
    f"{{%- if st.outputs_open -%}}{{{{- '{OUTPUTS_END}' -}}}}{{%- endif -%}}",
    "{%- set st.outputs_open = false -%}{%- set st.last_user = false -%}",
    f"{{{{- content.split('{END_THINK}')[-1] -}}}}",
    "{%- if m['tool_calls'] -%}",
    f"{{{{- '{CALLS_BEGIN}' -}}}}",
    "{%- for call in m['tool_calls'] -%}",
    "{%- set args = call['function']['arguments'] -%}",
    "{%- if not loop.first -%}{{- '\\n' -}}{%- endif -%}",
    f"{{{{- '{CALL_BEGIN}' + call['type'] + '{TOOL_SEP}' + call['function']['name']"
    " + '\\n```json\\n' -}}",
    f"{{{{- (args if args is string else args | tojson) + '\\n```{CALL_END}' -}}}}",
    "{%- endfor -%}",
    f"{{{{- '{CALLS_END}' -}}}}",
    "{%- endif -%}",
    "{{- eos_token -}}",
    "{%- elif m['role'] == 'tool' -%}",
    f"{{{{- ('\\n' if st.outputs_open else '{OUTPUTS_BEGIN}')"
    f" + '{OUTPUT_BEGIN}' + content + '{OUTPUT_END}' -}}}}",
    "{%- set st.outputs_open = true -%}{%- set st.last_user = false -%}",
    "{%- endif -%}",
    "{%- endfor -%}",
    f"{{%- if st.outputs_open -%}}{{{{- '{OUTPUTS_END}' -}}}}",
    "{%- elif add_generation_prompt and not st.last_user -%}"
    f"{{{{- '{ASSISTANT}' -}}}}{{%- endif -%}}",
]
CHAT_TEMPLATE = "".join(_TEMPLATE_LINES)
