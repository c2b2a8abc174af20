package agent

// ToolNames are the names of all tools that a model is offered.
func ToolNames() (names []string) {
	_, toolList := usualTools()
	for _, tool := range toolList {
		names = append(names, tool.Name)
	}
	return names
}
