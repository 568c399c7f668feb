// Posts the bodies, each with its length and in chunks, with and without an offer of h2c,
// and prints the responses.
package main

import (
	"fmt"
	"io"
	"net/http"
	"os"
	"strings"
)

func main() {
	for _, body := range os.Args[2:] {
		for _, upgrade := range []bool{false, true} {
			post(os.Args[1], strings.NewReader(body), upgrade)
			post(os.Args[1], io.MultiReader(strings.NewReader(body)), upgrade) // no known length
		}
	}
}

func post(url string, body io.Reader, upgrade bool) {
	request, err := http.NewRequest("POST", url, body)
	check(err)
	request.Header.Set("Content-Type", "application/json")
	if upgrade {
		request.Header.Set("Connection", "Upgrade, HTTP2-Settings")
		request.Header.Set("Upgrade", "h2c")
		request.Header.Set("HTTP2-Settings", "AAMAAABkAAQAoAAAAAIAAAAA")
	}
	response, err := http.DefaultClient.Do(request)
	check(err)
	answer, err := io.ReadAll(response.Body)
	check(err)
	response.Body.Close()
	fmt.Println(response.StatusCode, string(answer))
}

func check(err error) {
	if err != nil {
		panic(err)
	}
}
