"""VSI types (port profiles): policy files in YAML, checked, resolved to frozen values.

``document`` reads YAML with positions, ``schema`` and ``validate`` check it with pydantic, ``loader`` resolves
it to the types of ``model``, ``lint`` warns about rules without effect, ``change`` checks a reload.
Services add sections of their own (``section``).

Pure: text in, values or diagnostics out; callers read files and URLs.  Compiles no flow rule.
"""
