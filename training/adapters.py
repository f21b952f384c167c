"""PROVISIONAL by the lead so that the loop can be tried: its owner overwrites this file."""
from __future__ import annotations
import hashlib, json, os, shutil
from dataclasses import dataclass, asdict
from pathlib import Path
@dataclass
class AdapterFacts:
    rank: int
    def as_dict(self): return asdict(self)
def inspect(folder, *, base, base_hash, max_rank=32):
    return AdapterFacts(json.loads((folder/"adapter_config.json").read_text())["r"])
def content_hash(folder):
    h=hashlib.sha256()
    for n in ("adapter_config.json","adapter_model.safetensors"): h.update((folder/n).read_bytes())
    return h.hexdigest()
def publish(staged, home, manifest, card):
    name="lora-"+content_hash(staged)[:12]; final=home/name
    if not final.exists():
        home.mkdir(parents=True,exist_ok=True); tmp=home/f".{name}"; shutil.copytree(staged,tmp)
        (tmp/"README.md").write_text(card); (tmp/"manifest.json").write_text(json.dumps(manifest)); os.rename(tmp,final)
    return name, final
def verify(folder): return {}
def base_hash(base): return "0"*64
def model_card(m): return "# card"
