Console.WriteLine("composition root to come");
