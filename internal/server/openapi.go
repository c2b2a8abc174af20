package server

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/bctrl-go/bctrl/internal/access"
)

// openapiYAML describes every route; tests hold each request and answer to it.
//
//go:embed openapi.yaml
var openapiYAML []byte

func openapiRoutes() []Route {
	document := sync.OnceValues(func() ([]byte, error) {
		var tree map[string]any
		if err := yaml.Unmarshal(openapiYAML, &tree); err != nil {
			return nil, err
		}
		return json.Marshal(tree)
	})
	return []Route{Raw("GET /v1/openapi.json", access.Public, func(w http.ResponseWriter, _ *Request) error {
		body, err := document()
		if err == nil {
			WriteJSON(w, http.StatusOK, body)
		}
		return err
	})}
}
