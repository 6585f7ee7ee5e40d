"""TikTalkCoref: Chinese dialogues about videos, and the heads of people in these."""
