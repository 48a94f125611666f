export const QUICK = ['👍', '❤️', '😂', '🎉', '😮', '🙏'] as const

export const GROUPS: readonly (readonly [string, string])[] = [
  ['Smileys', '😀 😄 😁 😅 😂 🙂 😉 😊 😍 😘 😜 🤗 🤔 🤫 😐 😏 🙄 😌 😴 😷 🤒 🤯 🥳 😎 🤓 😕 😟 😮 😳 🥺 😢 😭 😱 😤 😡 🤬'],
  ['Hands', '👍 👎 👌 ✌️ 🤞 🤙 👋 🙌 👏 🤝 🙏 💪 ✍️ 👀 🫶'],
  ['Hearts', '❤️ 🧡 💛 💚 💙 💜 🖤 🤍 💔 💯 ✨ ⭐ 🔥'],
  ['Things', '🎉 🎂 🎁 ☕ 🍕 🍺 🥂 🌿 🌸 🐶 🐱 🦊 🐢 🚲 🚗 ✈️ 🏔️ 🏖️ 🏡 ⏰ 💡 📷 📎 📌 🔒 ✅ ❌ ❓ ❗'],
]
