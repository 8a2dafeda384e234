/** The emoji that are offered; a message may carry any. */
export const palette = ['👍', '🎉', '❤️', '😂', '👀', '✅', '🙏', '🤔'];
