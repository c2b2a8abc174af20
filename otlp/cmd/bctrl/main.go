// Command bctrl is bctrl whose server tells an OpenTelemetry collector what its requests did.
package main

import (
	"github.com/bctrl-go/bctrl/internal/command"
	"github.com/bctrl-go/bctrl/otlp"
)

func main() { command.Program{Tracing: otlp.Start}.Main() }
