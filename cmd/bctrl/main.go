// Command bctrl runs the BCTRL server, administers it and works with it.
package main

import "github.com/bctrl-go/bctrl/internal/command"

func main() { command.Program{}.Main() }
