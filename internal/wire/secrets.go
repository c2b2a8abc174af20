package wire

// SecretCreate is the body of POST /v1/secrets. S is bctrl.Scope.
type SecretCreate[S any] struct {
	Name         string   `json:"name"`
	Value        Value    `json:"value,omitzero"`
	Scope        S        `json:"scope,omitzero"`
	Aliases      []string `json:"aliases,omitempty"`
	AttachedOnly bool     `json:"attachedOnly,omitempty"`
}

// SecretRotate is the body of POST /v1/secrets/{id}/rotate.
type SecretRotate struct {
	Value Value `json:"value,omitzero"`
}

// SecretImport is the body of POST /v1/secrets/import. S is bctrl.Scope.
type SecretImport[S any] struct {
	Scope S `json:"scope,omitzero"`
	// Text is KEY=VALUE lines.
	Text Value `json:"text,omitzero"`
}
