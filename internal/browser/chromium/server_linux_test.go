package chromium

import "os"

// runAsServer does not return where this run of the test binary is to be a server.
func runAsServer() {
	if temp := os.Getenv(serverEnv); temp != "" {
		runServer(temp)
	}
	if address := os.Getenv(visitEnv); address != "" {
		runVisit(address)
	}
}
