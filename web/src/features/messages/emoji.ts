/** The emoji offered as reactions. Messages and reactions may have any other. */
export const offeredEmoji = ['👍', '🎉', '❤️', '😂', '👀', '✅', '🙏', '🤔'];
