"""The tokenizer of the embedded model: byte-level BPE that keeps digits apart, and its chat template.

Owns the special tokens and the form of a conversation, its tools and their calls as text.
Does not know the corpus or the model.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

START, END, PAD = "<|im_start|>", "<|im_end|>", "<|pad|>"
# Not special: a tool parser reads them in an answer from which special tokens are skipped.
TOOL_MARKS = (
    "<tool_call>",
    "</tool_call>",
    "<tool_response>",
    "</tool_response>",
    "<tools>",
    "</tools>",
)
_MARKS = re.compile("|".join(re.escape(mark) for mark in (START, END, PAD, *TOOL_MARKS)))

# The generation marks cover an answer, its tool calls and its end, so that a trainer can learn from answers
# alone. Calls are written as Hermes-2-Pro does, which is what `vllm serve --tool-call-parser hermes` reads;
# no line break comes before the first one, since the parser takes all before it as the answer's text.
CHAT_TEMPLATE = r"""
{%- macro text(content) %}
    {%- if content is string %}{{- content }}
    {%- elif content is not none and content is defined %}
        {%- for part in content %}{{- part if part is string else part['text'] }}{%- endfor %}
    {%- endif %}
{%- endmacro %}
{%- macro listed() %}
    {{- '<tools>' }}
    {%- for tool in tools %}
        {{- '\n' + ((tool['function'] if tool['function'] is defined else tool) | tojson) }}
    {%- endfor %}
    {{- '\n</tools>' }}
{%- endmacro %}
{%- if tools and (not messages or messages[0]['role'] != 'system') %}
    {{- '<|im_start|>system\n' + listed() + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- set content = text(message['content']) %}
    {%- if message['role'] == 'tool' %}
        {%- if loop.first or loop.previtem['role'] != 'tool' %}{{- '<|im_start|>user' }}{%- endif %}
        {{- '\n<tool_response>\n' + content + '\n</tool_response>' }}
        {%- if loop.last or loop.nextitem['role'] != 'tool' %}{{- '<|im_end|>\n' }}{%- endif %}
    {%- elif message['role'] == 'assistant' %}
        {{- '<|im_start|>assistant\n' }}
        {%- generation %}
            {{- content }}
            {%- for call in message['tool_calls'] or [] %}
                {%- set called = call['function'] if call['function'] is defined else call %}
                {%- set given = called['arguments'] %}
                {{- '' if loop.first else '\n' }}
                {{- '<tool_call>\n{"name": ' + (called['name'] | tojson) + ', "arguments": ' }}
                {{- (given or '{}') if given is string else ((given or {}) | tojson) }}
                {{- '}\n</tool_call>' }}
            {%- endfor %}
            {{- '<|im_end|>' }}
        {%- endgeneration %}
        {{- '\n' }}
    {%- else %}
        {{- '<|im_start|>' + message['role'] + '\n' + content }}
        {%- if loop.first and tools and message['role'] == 'system' %}
            {{- ('\n\n' if content else '') + listed() }}
        {%- endif %}
        {{- '<|im_end|>\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}{{- '<|im_start|>assistant\n' }}{%- endif %}
""".strip()

CONTEXT = 2048


def plain(rendered: str) -> list[str]:
    """The pieces of a rendered conversation between its marks: what the vocabulary is to be learnt from."""
    return [piece for piece in _MARKS.split(rendered) if piece]


def train(texts: Iterable[str], vocab: int) -> PreTrainedTokenizerFast:
    """A tokenizer of `vocab` entries, marks included, learnt from `texts`; every single byte is one."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    raw = Tokenizer(models.BPE())
    # Merged digits cannot be copied from a context: a number must be a row of digits.
    # And a name must be the same tokens whatever stands before it, so capitals take no space along.
    split = Regex(r"\p{N}| (?=\p{Lu})| ?\p{Ll}+|\p{Lu}\p{Ll}*|\p{L}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s")
    raw.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(split, behavior="isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    raw.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab - len(TOOL_MARKS),
        special_tokens=[PAD, START, END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    raw.train_from_iterator(texts, trainer)
    raw.add_tokens([AddedToken(mark, normalized=False, special=False) for mark in TOOL_MARKS])
    made = PreTrainedTokenizerFast(
        tokenizer_object=raw,
        eos_token=END,
        pad_token=PAD,
        extra_special_tokens=[START],
        model_max_length=CONTEXT,
        clean_up_tokenization_spaces=False,
    )
    made.chat_template = CHAT_TEMPLATE
    return made
