package main

import (
	"errors"
	"os/exec"
	"runtime"
)

// browser returns what opens a page in the user's browser. It fails, at most,
// and the address that was printed has to do.
func browser(getenv func(string) string) func(url string) error {
	return func(url string) error {
		var opener []string
		switch {
		case runtime.GOOS == "darwin":
			opener = []string{"open", url}
		case runtime.GOOS == "windows":
			opener = []string{"rundll32", "url.dll,FileProtocolHandler", url}
		case getenv("DISPLAY") == "" && getenv("WAYLAND_DISPLAY") == "":
			// Without a screen xdg-open would start a browser in the terminal.
			return errors.New("there is no screen")
		default:
			opener = []string{"xdg-open", url}
		}
		c := exec.Command(opener[0], opener[1:]...)
		if err := c.Start(); err != nil {
			return err
		}
		go c.Wait() //nolint:errcheck // the browser goes its own way
		return nil
	}
}
