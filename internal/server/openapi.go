package server

import (
	_ "embed"
	"encoding/json"
	"net/http"
	"sync"

	"go.yaml.in/yaml/v3"

	"github.com/bctrl-go/bctrl/internal/access"
	"github.com/bctrl-go/bctrl/internal/server/web"
)

// openapiYAML describes every route; tests hold each request and answer to it.
//
//go:embed openapi.yaml
var openapiYAML []byte

// openapiRoutes are the route that shows the contract as JSON, which is made when it
// is first asked for.
func openapiRoutes() []web.Route {
	document := sync.OnceValues(func() ([]byte, error) {
		var tree map[string]any
		if err := yaml.Unmarshal(openapiYAML, &tree); err != nil {
			return nil, err
		}
		return json.Marshal(tree)
	})
	return []web.Route{web.Raw("GET /v1/openapi.json", access.Public, func(w http.ResponseWriter, _ *web.Request) error {
		body, err := document()
		if err == nil {
			web.WriteJSON(w, http.StatusOK, body)
		}
		return err
	})}
}
