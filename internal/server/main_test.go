package server

import (
	"testing"

	"github.com/getkin/kin-openapi/openapi3filter"
	"go.uber.org/goleak"

	"github.com/bctrl-go/bctrl/internal/store/pgtest"
)

func TestMain(m *testing.M) {
	openapi3filter.RegisterBodyDecoder("text/html", openapi3filter.FileBodyDecoder) // the pages of views
	goleak.VerifyTestMain(pgtest.Main{M: m})
}
