package apply

func (c *compiler) wasm(at string, raw any) (action, error) {
	return nil, invalid(pointerTo(at, "wasm"), "modules cannot be used yet")
}

func (c *compiler) wasmUpcast(u *Upcast, m map[string]any) error {
	return invalid(pointerTo(u.at, "wasm"), "modules cannot be used yet")
}
