// Command protocolgen writes what follows from the table of commands, the table of
// events and the REST calls: the types of the TypeScript client, the JSON Schemas of the
// wire and the tables of docs/protocol.md. Run it with `make generate`.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/chowk-chat/chowk/internal/api"
)

//go:generate go -C ../.. run ./internal/protocolgen

func main() {
	if err := run("."); err != nil {
		fmt.Fprintln(os.Stderr, "protocolgen:", err)
		os.Exit(1)
	}
}

const (
	typesFile  = "sdk/js/src/protocol.gen.ts"
	schemaDir  = "test/schema"
	pageFile   = "docs/protocol.md"
	schemaGlob = "*/*.json"
)

func run(root string) error {
	files, err := generate(root)
	if err != nil {
		return err
	}
	stale, err := staleSchemas(root, files)
	if err != nil {
		return err
	}
	for _, name := range stale {
		if err := os.Remove(filepath.Join(root, name)); err != nil {
			return fmt.Errorf("remove a schema: %w", err)
		}
	}
	for name, content := range files {
		if err := os.WriteFile(filepath.Join(root, name), content, 0o644); err != nil { //nolint:gosec // for all to read
			return fmt.Errorf("write: %w", err)
		}
	}
	return nil
}

// generate returns the files by their path below root.
func generate(root string) (map[string][]byte, error) {
	page, err := os.ReadFile(filepath.Join(root, pageFile))
	if err != nil {
		return nil, fmt.Errorf("read the page: %w", err)
	}
	if page, err = protocolPage(page); err != nil {
		return nil, err
	}
	files := map[string][]byte{pageFile: page, typesFile: protocolTypes(api.Describe())}
	for name, content := range jsonSchemas() {
		files[schemaDir+"/"+name] = content
	}
	return files, nil
}

// staleSchemas returns the schemas below root that are not among the files.
func staleSchemas(root string, files map[string][]byte) (stale []string, err error) {
	found, err := filepath.Glob(filepath.Join(root, schemaDir, schemaGlob))
	if err != nil {
		return nil, fmt.Errorf("list schemas: %w", err)
	}
	for _, path := range found {
		name, err := filepath.Rel(root, path)
		if err != nil {
			return nil, fmt.Errorf("list schemas: %w", err)
		}
		if _, ok := files[filepath.ToSlash(name)]; !ok {
			stale = append(stale, filepath.ToSlash(name))
		}
	}
	return stale, nil
}
