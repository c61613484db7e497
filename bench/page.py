def write(records, out):
    import json
    from bench.results import document
    d=document(records)
    (out/"benchmark.json").write_text(json.dumps(d,indent=1))
    return str(out)
