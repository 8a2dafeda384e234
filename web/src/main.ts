import { mount } from 'svelte';
import App from './App.svelte';
import './app.css';

const target = document.getElementById('app')!;
target.replaceChildren(); // index.html shows that the page is loading
mount(App, { target });
