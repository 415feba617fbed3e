"""How does a template become the bytes of a file? Exactly: no line end, encoding or final newline is touched on the way.

    rendered = render_instance(site, "nginx", "main", tree, os.environ)
    rendered.content, rendered.target, rendered.mode

`renderers` knows the engines, `instance` where an instance's values come from. Judging, planning and applying all render through here.
"""

from interlock.render.instance import Files, render_instance, value_of_site
from interlock.render.renderers import render

__all__ = ["Files", "render", "render_instance", "value_of_site"]
