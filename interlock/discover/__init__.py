"""What does a tree say of its site? Everything that `interlock scan` and `interlock init` infer, with the place that each thing was inferred from.

`kinds` sorts the files by their names, `composed`, `variables`, `modules`, `reach` and `instances` read what is in them, `whole` makes one document of it,
`document` writes it down, `site` makes the nouns of it, and `live` compares it with the running host. Nothing here needs the nouns but `site`: `init` must
answer before they are imported.
"""
