"""Compares the plain Qwen2 with the reference data, so that a model that computes something else is never timed."""

import json
import pathlib
import struct

import torch

from qwen2 import Config, Qwen2, grpo_loss

TYPES = {"F32": torch.float32, "BF16": torch.bfloat16, "I64": torch.int64}


def load(path):
    """Reads the tensors of a safetensors file."""
    data = bytearray(path.read_bytes())
    size = 8 + struct.unpack("<Q", data[:8])[0]
    tensors = {}
    for name, entry in json.loads(bytes(data[8:size])).items():
        if name != "__metadata__":
            begin, end = entry["data_offsets"]
            flat = torch.frombuffer(data[size + begin : size + end], dtype=TYPES[entry["dtype"]])
            tensors[name] = flat.view(entry["shape"])
    return tensors


def load_model(folder):
    """Loads a golden model in float32."""
    fields = json.loads((folder / "config.json").read_text())
    model = Qwen2(Config(**{name: fields[name] for name in Config.__dataclass_fields__}))
    weights = {name: tensor.float() for path in folder.glob("*.safetensors") for name, tensor in load(path).items()}
    model.load_state_dict(weights)
    return model


class Comparison:
    """Collects the largest difference of each kind, as a share of what is accepted."""

    def __init__(self):
        self.worst = {}

    def add(self, what, computed, expected, accepted):
        share = float((computed.detach() - expected).abs().max()) / accepted
        self.worst[what] = max(self.worst.get(what, 0), share)
        if not share <= 1:
            raise SystemExit(f"The peer does not compute Qwen2: {what} differ by {share:.3g} times what is accepted.")


def compare_forward(folder, name, result):
    """Compares logits, log-probs, loss and gradients of a model."""
    model, expected = load_model(folder / f"model-{name}"), load(folder / f"forward-{name}.safetensors")
    numbers = json.loads((folder / "forward.json").read_text())[name]
    for side in ("left", "right"):
        ids, mask = expected[f"{side}.input_ids"], expected[f"{side}.attention_mask"]
        real, targets = mask[..., None], expected[f"{side}.next_mask"]
        result.add("logits", model.logits(model.hidden(ids, mask)) * real, expected[f"{side}.logits"] * real, 1e-4)
        log_probs = model.log_probs(ids, 1, mask) * targets
        result.add("log-probs", log_probs, expected[f"{side}.next_logps"], 1e-4)
        loss = -log_probs.sum() / targets.sum()
        result.add("losses", loss, expected[f"{side}.loss"], 1e-5)
        model.zero_grad()
        loss.backward()
        gradients = {key: parameter.grad for key, parameter in model.named_parameters()}
        for key, norm in numbers[side]["grad_l2_norms"].items():
            result.add("gradient norms", gradients[key].norm(), torch.tensor(norm), 1e-4 * norm)
        for key, gradient in gradients.items():
            if (stored := expected.get(f"{side}.grad.{key}")) is not None:
                result.add("gradients", gradient, stored, 1e-4 * float(stored.abs().max()))
    with torch.no_grad():
        ids = expected["long.input_ids"]
        result.add("logits", model.logits(model.hidden(ids)[:, -4:]), expected["long.last4_logits"], 2e-4)
        result.add("log-probs", model.log_probs(ids), expected["long.next_logps"], 2e-4)


def compare_generation(folder, result):
    """Compares greedy tokens with left-padded prompts, up to the end token of each row."""
    for case in json.loads((folder / "generation.json").read_text())["cases"]:
        model, prompts = load_model(folder / f"model-{case['model']}"), case["prompts"]
        longest = max(map(len, prompts))
        ids = torch.tensor([[case["pad_token_id"]] * (longest - len(prompt)) + prompt for prompt in prompts])
        mask = torch.tensor([[0] * (longest - len(prompt)) + [1] * len(prompt) for prompt in prompts])
        tokens = model.generate(ids, len(case["new_tokens"][0]), mask, greedy=True).tolist()
        for row, expected in zip(tokens, case["new_tokens"]):
            count = expected.index(case["eos_token_id"]) + 1 if case["eos_token_id"] in expected else len(expected)
            result.add("greedy tokens", torch.tensor(row[:count]), torch.tensor(expected[:count]), 0.5)


def compare_loss(folder, result):
    """Compares the clipped loss that the updates use."""
    data = json.loads((folder / "grpo_loss.json").read_text())
    for case in data["cases"]:
        plain = dict(
            loss_type="dapo", importance_sampling_level="token", beta=0, epsilon_high=None, delta=None, off_policy_mask_threshold=None,
            top_entropy_quantile=1, entropy_coef=0)
        entry, chosen = data["inputs"][case["input"]], case["params"]
        mask = torch.tensor(entry["completion_mask"], dtype=torch.float32)
        if all(chosen[name] == value for name, value in plain.items()) and chosen["num_items_in_batch"] == mask.sum():
            log_probs = torch.tensor(entry["per_token_logps"], requires_grad=True)
            old = entry["old_per_token_logps"]
            loss = grpo_loss(
                log_probs, torch.tensor(entry["advantages"]), mask, None if old is None else torch.tensor(old), chosen["epsilon"])
            loss.backward()
            result.add("GRPO losses", loss, torch.tensor(case["loss"]), 1e-5 * max(1, abs(case["loss"])))
            result.add("GRPO gradients", log_probs.grad, torch.tensor(case["grad_per_token_logps"]), 1e-5)


def compare(shared):
    """Compares everything. Ends the program at a difference, and returns a line about what was compared."""
    folder, result = pathlib.Path(shared) / "golden", Comparison()
    if not (folder / "forward.json").exists():
        return f"not compared with reference data, because '{folder}' has none"
    for name in "ABC":
        compare_forward(folder, name, result)
    compare_generation(folder, result)
    compare_loss(folder, result)
    return "equal to reference data; largest differences as shares of what is accepted: " + ", ".join(
        f"{what} {share:.2g}" for what, share in result.worst.items())


if __name__ == "__main__":
    import os
    import sys

    default = os.environ.get("GRPO_SHARED", pathlib.Path(__file__).resolve().parents[3] / "shared")
    print(compare(sys.argv[1] if len(sys.argv) > 1 else default))
