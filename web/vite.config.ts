import { svelte } from '@sveltejs/vite-plugin-svelte';
import { fileURLToPath } from 'node:url';
import { defineConfig } from 'vitest/config';

const client = fileURLToPath(new URL('../sdk/js/src/index.ts', import.meta.url));

export default defineConfig({
  plugins: [svelte()],
  resolve: { alias: { '@chowk/client': client } },
  build: {
    target: 'es2022',
    // The content security policy forbids inline scripts. The page loads one module, so there is nothing to preload.
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
  },
  server: {
    proxy: { '/api': { target: process.env['CHOWK_URL'] ?? 'http://127.0.0.1:8080', ws: true } },
  },
  test: { include: ['src/**/*.test.ts'] },
});
